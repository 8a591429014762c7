package solve

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// write makes a folder of files; the text of each is its path.
func write(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func paths(t *testing.T, tr *tree, target string) []string {
	t.Helper()
	var out []string
	err := tr.Walk(t.Context(), target, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTreeSelects(t *testing.T) {
	dir := write(t, ".git/HEAD", "a/b/c", "a/b.txt", "sub/.git/HEAD", "sub/x", "z")
	tests := []struct {
		include, ignore []string
		want            string
	}{
		{nil, nil, "a a/b a/b/c a/b.txt sub sub/x z"},
		{nil, []string{"a/b", "!.git"}, "a a/b.txt sub sub/x z"},
		{[]string{"a/**", "z"}, []string{"**/*.txt"}, "a a/b a/b/c z"},
		{[]string{"**"}, nil, "a a/b a/b/c a/b.txt sub sub/x z"},
		{[]string{".git", "z"}, nil, ".git .git/HEAD z"},
	}
	for _, tt := range tests {
		include, exclude := buildkit.Spec{Include: tt.include}.Filter(tt.ignore)
		tr, err := readTree(t.Context(), dir, include, exclude, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		if got := strings.Join(paths(t, tr, "/"), " "); got != tt.want {
			t.Errorf("include %q ignore %q: %s, want %s", tt.include, tt.ignore, got, tt.want)
		}
	}
}

func TestTreeWalk(t *testing.T) {
	tr, err := readTree(t.Context(), write(t, "a/b/c", "a/b/d", "a/e", "ab", "z"), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	for target, want := range map[string]string{"a": "a a/b a/b/c a/b/d a/e", "/a/b/": "a/b a/b/c a/b/d", "ab": "ab", "no": "", ".": "a a/b a/b/c a/b/d a/e ab z"} {
		if got := strings.Join(paths(t, tr, target), " "); got != want {
			t.Errorf("Walk(%q): %s, want %s", target, got, want)
		}
	}
	// Skipping does what filepath.WalkDir does.
	for _, at := range []string{"a", "a/b", "a/b/c", "a/e", "ab"} {
		var got, want []string
		record := func(out *[]string, root string) fs.WalkDirFunc {
			return func(path string, _ fs.DirEntry, err error) error {
				if root != "" {
					if path, err = filepath.Rel(root, path); path == "." {
						return err
					}
				}
				*out = append(*out, path)
				if filepath.ToSlash(path) == at {
					return filepath.SkipDir
				}
				return err
			}
		}
		if err := tr.Walk(t.Context(), "/", record(&got, "")); err != nil {
			t.Fatal(err)
		}
		if err := filepath.WalkDir(tr.root, record(&want, tr.root)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("skip at %s: %v, want %v", at, got, want)
		}
	}
}

func TestTreeDigest(t *testing.T) {
	digest := func(dir string) string {
		t.Helper()
		tr, err := readTree(t.Context(), dir, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.close()
		return tr.digest
	}
	one, two := write(t, "a/b", "c"), write(t, "a/b", "c")
	if digest(one) != digest(two) {
		t.Error("equal folders have different digests")
	}
	before := digest(one)
	if err := os.WriteFile(filepath.Join(one, "c"), []byte("C"), 0o644); err != nil {
		t.Fatal(err)
	}
	if digest(one) == before {
		t.Error("an edit to the same size has the same digest")
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(filepath.Join(two, "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	if digest(two) == before {
		t.Error("an executable has the digest of a plain file")
	}
}

// What is sent must be what was hashed, or the cache under that hash is poisoned.
func TestTreeChangesWhileSent(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"edited":  func(path string) error { return os.WriteFile(path, []byte("A"), 0o644) },
		"grown":   func(path string) error { return os.WriteFile(path, []byte("aa"), 0o644) },
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "a")
			tr, err := readTree(t.Context(), dir, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			if err := change(filepath.Join(dir, "a")); err != nil {
				t.Fatal(err)
			}
			r, err := tr.Open("a")
			if err != nil {
				t.Fatalf("Open must not fail: %v", err)
			}
			defer r.Close()
			if _, err := io.ReadAll(r); err == nil {
				t.Error("read without an error")
			}
		})
	}
}

func TestMemoryTree(t *testing.T) {
	tr := memoryTree(map[string][]byte{"a/b/Dockerfile": []byte("x"), "a/b/Dockerfile.dockerignore": nil})
	if got, want := strings.Join(paths(t, tr, "/"), " "), "a a/b a/b/Dockerfile a/b/Dockerfile.dockerignore"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	r, err := tr.Open("a/b/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "x" {
		t.Errorf("%q, %v", text, err)
	}
}
