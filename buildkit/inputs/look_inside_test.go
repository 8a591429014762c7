package inputs

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file that looks as it did is not read: its digest is the one remembered, even
// if that is wrong. One that looks different is.
func TestLookRemembers(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	seen, ok := faceOf(info)
	if !ok {
		t.Skip("files have no time of change here")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	first := (&Reader{State: state}).look(dir)
	first.known["a"] = newMemory(seen, [32]byte{42}, uint32(time.Now().Unix()/86400))
	first.known["old"] = newMemory(face{}, [32]byte{}, 1)
	first.dirty = true
	first.keep()

	again := (&Reader{State: state}).look(dir) // as another process
	if len(again.known) != 1 {
		t.Errorf("%d files are remembered, want 1: nobody looked at the other for years", len(again.known))
	}
	f := file{path: "a", mode: 0o644, dir: root, info: info}
	if sum, n, err := again.digest(context.Background(), f); err != nil || sum != [32]byte{42} || n != 4 {
		t.Errorf("got %x, %d, %v: it was read", sum, n, err)
	}
	reader := &Reader{State: state}
	if _, ok := reader.Known(dir, "a", info); ok {
		t.Error("it is known in a folder that was not looked at")
	}
	reader.look(dir)
	if sum, ok := reader.Known(dir, "a", info); !ok || sum != [32]byte{42} {
		t.Errorf("known: %x, %t", sum, ok)
	}
	for name, change := range map[string]func(*face){
		"size": func(f *face) { f.Size++ }, "time": func(f *face) { f.Mtime-- }, "time of change": func(f *face) { f.Ctime-- },
		"inode": func(f *face) { f.Inode++ }, "device": func(f *face) { f.Device++ }, "mode": func(f *face) { f.Mode++ },
	} {
		other := seen
		change(&other)
		again.known["a"] = newMemory(other, [32]byte{42}, 0)
		if sum, _, err := again.digest(context.Background(), f); err != nil || sum == [32]byte{42} {
			t.Errorf("%s: %x, %v: it was not read", name, sum, err)
		}
		reader.look(dir).known["a"] = newMemory(other, [32]byte{42}, 0)
		if _, ok := reader.Known(dir, "a", info); ok {
			t.Errorf("%s: it is known still", name)
		}
	}
	// Half a file is none.
	text, err := os.ReadFile(first.file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range text {
		if err := os.WriteFile(first.file, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if l := (&Reader{State: state}).look(dir); len(l.known) != 0 {
			t.Fatalf("%d of %d bytes are taken for all", n, len(text))
		}
	}
}

// Each part of a face, a digest and a day has bytes of its own in a memory.
func TestMemory(t *testing.T) {
	var raw memory
	for i := range raw {
		raw[i] = byte(i + 1)
	}
	var now face
	n, err := binary.Decode(raw[:], binary.LittleEndian, &now)
	if err != nil || n != faceSize {
		t.Fatalf("a face has %d bytes, %v", n, err)
	}
	if m := newMemory(now, raw.sum(), raw.day()); *m != raw || !m.is(now) {
		t.Errorf("%x, want %x", *m, raw)
	}
	if sum := raw.sum(); sum[0] != faceSize+1 || raw.day() != 0x504f4e4d {
		t.Errorf("digest %x, day %x", sum, raw.day())
	}
}
