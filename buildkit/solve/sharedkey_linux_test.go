package solve_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/buildkit/transfer"
)

// TestSendsWhatChanged edits one of five files of a context. Only that file is sent, and
// the image has it as it is. A builder that is not our own is sent all of them after an
// edit that keeps the size: nothing else tells it of that.
func TestSendsWhatChanged(t *testing.T) {
	t.Run("ours", func(t *testing.T) { sendsWhatChanged(t, newBuilder(t), false) })
	t.Run("another's", func(t *testing.T) {
		b := newBuilder(t)
		dial := b.Dial
		b.Dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			return &unlabelled{conn}, err
		}
		sendsWhatChanged(t, b, true)
	})
}

// unlabelled is a connection to a solver of ours that does not say that it is one.
type unlabelled struct{ net.Conn }

func (u *unlabelled) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	copy(p, bytes.ReplaceAll(p[:n], []byte(transfer.Label), []byte(strings.ToUpper(transfer.Label))))
	return n, err
}

func sendsWhatChanged(t *testing.T, b *solve.Builder, sizes bool) {
	const size = 1 << 20
	random := rand.NewChaCha8([32]byte{})
	text := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b) // never fails
		return b
	}
	dir := shellFolder(t, "COPY files /files\n", nil)
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, "files", name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		write(name, text(size))
	}
	b.Sent = t.TempDir()
	before := text(size + 1)
	for _, step := range []struct {
		name string
		edit []byte
		all  bool
	}{
		{"first", text(size), true},
		{"another size", before, false},
		{"smaller", text(size - 1), false},
		{"as it was once", before, false},
		{"the size of that", text(size + 1), sizes},
		{"one more", text(size + 2), false},
	} {
		write("b", step.edit)
		var sent int64
		img, err := b.Build(t.Context(), buildkit.Spec{Context: dir}, func(p buildkit.Progress) {
			sent = max(sent, p.Done) // nothing else in this build has bytes
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := sent > 4*size; all != step.all || sent < size/2 {
			t.Errorf("%s: %d bytes were sent", step.name, sent)
		}
		var r record
		if err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"sha256sum", "/files/b"}}, r.watch); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%x  /files/b\n", sha256.Sum256(step.edit)); r.log() != want {
			t.Errorf("%s: the image has %q, want %q", step.name, r.log(), want)
		}
	}
}

// TestSendStops sends files of which one is not what it was said to be, after another has
// been received. The next build has both as they are.
func TestSendStops(t *testing.T) {
	dir := shellFolder(t, "COPY a z /files/\n", map[string]string{"a": "one", "z": "one"})
	b := newBuilder(t)
	if _, err := b.Build(t.Context(), buildkit.Spec{Context: dir}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "z"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("two"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.Known = func(_, path string, _ fs.FileInfo) (sum [sha256.Size]byte, ok bool) { return sum, path == "z" }
	_, err := b.Build(t.Context(), buildkit.Spec{Context: dir}, nil)
	if err == nil || !strings.Contains(err.Error(), "z changed while it was sent") || strings.Contains(err.Error(), "rpc error") {
		t.Fatalf("a file that is not what it was said to be: %v", err)
	}
	b.Known = nil
	img, err := b.Build(t.Context(), buildkit.Spec{Context: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var r record
	if err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"cat", "/files/a", "/files/z"}}, r.watch); err != nil || r.log() != "twotwo" {
		t.Errorf("the image has %q, %v", r.log(), err)
	}
}
