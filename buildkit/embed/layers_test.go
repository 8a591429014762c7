//go:build linux

package embed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/labels"
	localstore "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/overlay"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// archiveOf writes a file that spans several blocks of the compressor, and an old one.
func archiveOf(modified time.Time) func(io.Writer) error {
	return func(w io.Writer) error {
		t := tar.NewWriter(w)
		text := make([]byte, 3*gzipBlock)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range text {
			text[i] = "abcdefgh"[random.IntN(8)]
		}
		if err := t.WriteHeader(&tar.Header{Name: "new", Mode: 0o644, Size: int64(len(text)), ModTime: modified}); err != nil {
			return err
		}
		if _, err := t.Write(text); err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: "old", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(7, 0)}); err != nil {
			return err
		}
		return t.Close()
	}
}

// TestPack packs the same files at two times, with one processor and with more: the
// bytes are the same, any gzip reads them, and no file is younger than the epoch.
func TestPack(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	epoch := time.Unix(1000, 0)
	var before ocispecs.Descriptor
	for i, modified := range []time.Time{time.Unix(1<<30, 0), time.Unix(1<<31, 0)} {
		store, err := localstore.NewStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		runtime.GOMAXPROCS(1 + 3*i)
		c := compression.New(compression.Gzip)
		desc, err := newLayers(store, nil).pack(t.Context(), "x", epoch, c.Type.MediaType(), compressorOf(t.Context(), c), func(w io.Writer) error {
			var archive bytes.Buffer
			return errors.Join(archiveOf(modified)(&archive), date(w, epoch, &archive))
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && desc.Digest != before.Digest {
			t.Errorf("digest %s, before %s", desc.Digest, before.Digest)
		}
		before = desc
		blob, err := content.ReadBlob(t.Context(), store, desc)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(blob)) != desc.Size {
			t.Errorf("size %d, want %d", desc.Size, len(blob))
		}
		unpacked, err := gzip.NewReader(bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(unpacked)
		if err != nil {
			t.Fatal(err)
		}
		if got := desc.Annotations[labels.LabelUncompressed]; got != digest.FromBytes(text).String() {
			t.Errorf("diff id %s, want that of the archive", got)
		}
		want := map[string]int64{"new": 1000, "old": 7}
		for r := tar.NewReader(bytes.NewReader(text)); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.ModTime.Unix() != want[h.Name] {
				t.Errorf("%s is from %d, want %d", h.Name, h.ModTime.Unix(), want[h.Name])
			}
			delete(want, h.Name)
		}
		if len(want) > 0 {
			t.Errorf("not in the archive: %v", want)
		}
	}
}

// TestWriteUpper compares what is written of the folder of an overlay with what BuildKit
// writes, dated afterwards.
func TestWriteUpper(t *testing.T) {
	dir := t.TempDir()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	if err := overlayutils.Supported(dir); err != nil {
		t.Skip("needs a folder that an overlay can be made of: ", err)
	}
	upper, lower := filepath.Join(dir, "upper"), filepath.Join(dir, "lower")
	below := []mount.Mount{{Type: "bind", Source: lower, Options: []string{"ro", "rbind"}}}
	old := time.Unix(5, 0)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(upper, "folder/in it"), 0o750), os.MkdirAll(filepath.Join(lower, "folder/other"), 0o755),
		os.WriteFile(filepath.Join(upper, "folder/file"), bytes.Repeat([]byte("x"), 100_000), 0o644),
		os.Chmod(filepath.Join(upper, "folder/file"), 0o755|os.ModeSetuid), os.Lchown(filepath.Join(upper, "folder/file"), 5, 6),
		os.Link(filepath.Join(upper, "folder/file"), filepath.Join(upper, "hard")),
		os.Symlink("folder/file", filepath.Join(upper, "soft")),
		unix.Mknod(filepath.Join(upper, "folder/other"), unix.S_IFCHR, 0), // it is gone
		os.WriteFile(filepath.Join(upper, "old"), nil, 0o600), os.Chtimes(filepath.Join(upper, "old"), old, old),
	); err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []time.Time{time.Unix(0, 0), time.Unix(1000, 0), time.Now().Add(time.Hour)} {
		var theirs, want, got bytes.Buffer
		if err := errors.Join(overlay.WriteUpperdir(t.Context(), &theirs, upper, below), date(&want, epoch, &theirs), writeUpper(t.Context(), &got, upper, below, epoch)); err != nil {
			t.Fatal(err)
		}
		if got.Len() < 100_000 || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: %d bytes, want %d that are the same", epoch, got.Len(), want.Len())
		}
	}
}

// TestPackFails ends the reading of files in the middle: nothing is left of the layer.
func TestPackFails(t *testing.T) {
	dir := t.TempDir()
	store, err := localstore.NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("the file is gone")
	_, err = newLayers(store, nil).pack(t.Context(), "x", time.Unix(0, 0), ocispecs.MediaTypeImageLayerGzip, compressorOf(t.Context(), compression.New(compression.Gzip)), func(w io.Writer) error {
		whole := new(bytes.Buffer)
		if err := archiveOf(time.Unix(1, 0))(whole); err != nil {
			return err
		}
		if _, err := w.Write(whole.Bytes()[:2*gzipBlock]); err != nil {
			return err
		}
		return gone
	})
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
	if left, err := store.ListStatuses(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if blobs, err := filepath.Glob(filepath.Join(dir, "blobs/*/*")); err != nil || len(blobs) > 0 {
		t.Errorf("left are %v, %v", blobs, err)
	}
}

// A level that gzip doesn't have is an error, and no panic.
func TestCompressorLevel(t *testing.T) {
	for level, ok := range map[int]bool{1: true, 9: true, 77: false} {
		w, err := compressorOf(t.Context(), compression.New(compression.Gzip).SetLevel(level))(io.Discard, "")
		if (err == nil) != ok {
			t.Errorf("level %d: %v", level, err)
		}
		if err == nil && w.Close() != nil {
			t.Error("cannot be closed")
		}
	}
}
