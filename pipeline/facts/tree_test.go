package facts_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-ci/slipway/pipeline/facts"
)

// TestSaved takes the facts of a tree without a repository from the file in it, and
// never those of a repository that git cannot read.
func TestSaved(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(facts.Saved, `{"sha": "abc", "epoch": 7, "dirty": false}`)
	write("sub/file", "")
	look := func() any { return facts.Git(t.Context(), filepath.Join(dir, "sub"), os.LookupEnv)() }
	if m, ok := look().(map[string]any); !ok || m["sha"] != "abc" || m["epoch"] != 7 {
		t.Errorf("got %v, want what was saved", look())
	}
	write(".git", "gitdir: nowhere\n")
	if _, ok := look().(error); !ok {
		t.Errorf("got %v of a repository that git cannot read, want an error", look())
	}
}
