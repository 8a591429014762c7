package facts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/facts"
)

func none(string) (string, bool) { return "", false }

// TestGit checks each fact on a repository made on the spot.
func TestGit(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	get := func() any { return facts.Git(t.Context(), dir, none)() }
	if err, ok := get().(error); !ok || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("outside of a repository: %v", err)
	}
	git("init", "-q", "-b", "Feature/Some_thing")
	git("commit", "-q", "--allow-empty", "-m", "first", "--date=2020-01-01T00:00:00Z")
	m := get().(map[string]any)
	for name := range pipeline.Facts()["git"] {
		if _, ok := m[name]; !ok {
			t.Errorf("git.%s is missing", name)
		}
	}
	if len(m) != len(pipeline.Facts()["git"]) {
		t.Errorf("git has facts that no expression can name: %v", m)
	}
	sha := git("rev-parse", "HEAD")
	if m["sha"] != sha || !strings.HasPrefix(sha, m["short"].(string)) || m["branch"] != "Feature/Some_thing" || m["slug"] != "feature-some-thing" || m["tag"] != "" || m["dirty"] != false {
		t.Errorf("git = %v", m)
	}
	git("tag", "v1.2.3")
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if m = get().(map[string]any); m["tag"] != "v1.2.3" || m["describe"] != "v1.2.3" || m["dirty"] != true {
		t.Errorf("tagged and dirty: %v", m)
	}
	t.Setenv("PATH", "")
	if err, ok := get().(error); !ok || !strings.Contains(err.Error(), "git is not installed") {
		t.Errorf("without git: %v", err)
	}
}

// TestGitLooksAbove has git facts in folders whose repository lies elsewhere.
func TestGitLooksAbove(t *testing.T) {
	all := t.TempDir()
	within := func(names ...string) string { return filepath.Join(append([]string{all}, names...)...) }
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", all, "-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "repo")
	run("-C", "repo", "commit", "-q", "--allow-empty", "-m", "first")
	run("-C", "repo", "worktree", "add", "-q", within("worktree"))
	for _, dir := range []string{within("repo", "a", "b"), within("outside")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(within("repo", "a"), within("link")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{within("repo", "a", "b"), within("worktree"), within("link"), within("link", "b")} {
		if err := facts.Git(t.Context(), dir, none)(); !known(err) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	told := func(name string) (string, bool) { return os.LookupEnv(name) }
	t.Setenv("GIT_DIR", within("repo", ".git"))
	if err := facts.Git(t.Context(), within("outside"), told)(); !known(err) {
		t.Errorf("told where: %v", err)
	}
}

// known reports whether there are facts of git, and no error.
func known(git any) bool { _, ok := git.(map[string]any); return ok }

func TestSlug(t *testing.T) {
	for in, want := range map[string]string{
		"main": "main", "Feature/Some_thing": "feature-some-thing", "--x--": "x", "": "",
		strings.Repeat("ab-", 40): strings.TrimSuffix(strings.Repeat("ab-", 21), "-"),
	} {
		if got := pipeline.Slug(in); got != want {
			t.Errorf("Slug(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCI(t *testing.T) {
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "a/b"}
	got := facts.CI(func(n string) (string, bool) { v, ok := env[n]; return v, ok })
	if got["name"] != "github" || got["url"] != "https://git.example/a/b/actions/runs/7" {
		t.Errorf("ci = %v", got)
	}
	if got := facts.CI(none); got["name"] != "" {
		t.Errorf("outside of CI: %v", got)
	}
}
