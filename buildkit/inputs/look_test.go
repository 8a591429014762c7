package inputs

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestLook checks that files which have not changed are not read again, by making
// them unreadable in a way that a stat does not see: as another process, with what
// the first one kept. It is skipped where files have no time of change.
func TestLook(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs files with a time of change")
	}
	state, dir := t.TempDir(), tree(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "one", "b": "two"})
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"a", "b", "Dockerfile"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	key := func() string {
		t.Helper()
		r := &Reader{State: state}
		in, err := r.Inputs(t.Context(), buildkit.Spec{Context: dir})
		if err != nil {
			t.Fatal(err)
		}
		return in.Key
	}
	want := key()
	// The time of change is now: within the grain, so nothing was remembered.
	if kept := keptBytes(t, state); kept > 0 {
		t.Errorf("%d bytes are remembered of files that have just changed", kept)
	}
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("ONE"), 0o644); err != nil { // same size
		t.Fatal(err)
	}
	if err := os.Chtimes(path, old, old); err != nil { // and time
		t.Fatal(err)
	}
	if key() == want {
		t.Error("an edit of the same size and time was missed")
	}
}

func keptBytes(t *testing.T, state string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "files", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n += len(text)
	}
	return n
}
