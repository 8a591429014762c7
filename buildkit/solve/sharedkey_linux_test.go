package solve_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestSendsWhatChanged edits one of five files of a context. A new size: only that file
// is sent. The same size: all are, for nothing else tells the builder of the edit. In
// both cases the image has the file as it is.
func TestSendsWhatChanged(t *testing.T) {
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
	b := newBuilder(t)
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
		{"the size of that", text(size + 1), true},
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
