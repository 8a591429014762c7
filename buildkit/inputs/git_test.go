package inputs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestGit takes a context from a repository: by branch, tag and commit. Another
// commit with the same files in the subfolder has the same key.
func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git:", err)
	}
	dir := tree(t, map[string]string{"svc/Dockerfile": "FROM scratch\nCOPY a /\n", "svc/a": "one", "out@": "/etc"})
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@localhost"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "-m", "one")
	git("tag", "-a", "v1", "-m", "one")
	first := git("rev-parse", "HEAD")
	state := t.TempDir()
	read := func(text string) (buildkit.Inputs, string, error) {
		g, ok := buildkit.ParseGit(text)
		if !ok {
			t.Fatalf("%s is no git URL", text)
		}
		in, err := (&Reader{State: state}).Inputs(t.Context(), buildkit.Spec{Git: &g})
		return in, g.Commit, err
	}
	url := "file://" + filepath.ToSlash(dir)
	var key string
	for _, ref := range []string{"main", "v1", first, ""} {
		in, commit, err := read(url + "#" + ref + ":svc")
		if err != nil {
			t.Fatal(err)
		}
		if commit != first {
			t.Errorf("%q is commit %s, want %s", ref, commit, first)
		}
		if key != "" && in.Key != key {
			t.Errorf("%q has another key", ref)
		}
		key = in.Key
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "--quiet", "-m", "two")
	in, commit, err := read(url + "#main:svc")
	if err != nil || commit == first || in.Key != key {
		t.Errorf("after a commit elsewhere: commit %s, key %s (want %s), %v", commit, in.Key, key, err)
	}
	var refused *buildkit.GitError
	for _, text := range []string{url + "#nowhere", "file:///nowhere/at/all", url + "#--upload-pack=x"} {
		if _, _, err := read(text); !errors.As(err, &refused) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, sub := range []string{"none", "out", "../.."} {
		if _, _, err := read(url + "#main:" + sub); !errors.Is(err, buildkit.ErrNoContext) {
			t.Errorf("subfolder %s: %v", sub, err)
		}
	}
}

func TestParseGit(t *testing.T) {
	for text, want := range map[string]buildkit.Git{
		"https://example.com/a.git":        {URL: "https://example.com/a.git"},
		"https://example.com/a.git#v1:x/y": {URL: "https://example.com/a.git", Ref: "v1", Subdir: "x/y"},
		"git@example.com:a/b.git#:x":       {URL: "git@example.com:a/b.git", Subdir: "x"},
		"ssh://git@example.com/a.git#main": {URL: "ssh://git@example.com/a.git", Ref: "main"},
		"alpine:3":                         {}, "ghcr.io/acme/web:1": {}, "./x": {}, "/x": {}, "": {}, "ext::sh -c x": {}, "localhost:5000/x": {},
	} {
		got, ok := buildkit.ParseGit(text)
		if ok != (want.URL != "") || ok && got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, ok, want)
		}
	}
}

func TestMoved(t *testing.T) {
	before := buildkit.Parts{"file a": "1", "file b": "1", "arg A": "1", "Dockerfile": "1"}
	now := buildkit.Parts{"file a": "2", "file c": "1", "arg A": "2", "Dockerfile": "2"}
	got := buildkit.Summary(now.Moved(before))
	if want := "Dockerfile changed, arg A changed, file a changed, and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
