package facts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Saved is the file, in the top folder of a tree that was taken out of its
// repository, which holds the facts of git about it, as JSON.
const Saved = ".slipway/git.json"

// saved returns the facts that were saved with the tree which dir lies in, or nil.
// What lies in a repository is no such tree, even where git cannot read that: its facts
// would be anybody's who can commit a file.
func saved(dir string) map[string]any {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return nil
		}
		if text, err := os.ReadFile(filepath.Join(at, filepath.FromSlash(Saved))); err == nil {
			var m map[string]any
			if json.Unmarshal(text, &m) != nil {
				return nil
			}
			if epoch, ok := m["epoch"].(float64); ok {
				m["epoch"] = int(epoch)
			}
			return m
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// Files returns the files of the working tree in dir that git would keep: those it
// knows, and new ones that nothing ignores. Their paths are relative to dir.
func Files(ctx context.Context, dir string) ([]string, error) {
	out, err := plainGit(ctx, dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 }), nil
}

// Clone brings a repository into a new folder dir, with its history, at a ref: a
// branch, a tag or a commit; empty means the remote's HEAD.
func Clone(ctx context.Context, url, ref, dir string) error {
	if _, err := plainGit(ctx, "", "clone", "--quiet", "--no-checkout", "--", url, dir); err != nil {
		return err
	}
	if ref == "" {
		ref = "HEAD"
	}
	for _, name := range []string{"refs/remotes/origin/" + ref, ref} {
		if commit, err := plainGit(ctx, dir, "rev-parse", "--quiet", "--verify", "--end-of-options", name+"^{commit}"); err == nil {
			_, err := plainGit(ctx, dir, "checkout", "--quiet", "--detach", strings.TrimSpace(commit))
			return err
		}
	}
	if _, err := plainGit(ctx, dir, "fetch", "--quiet", "--", url, ref); err != nil { // a commit that no branch holds
		return err
	}
	_, err := plainGit(ctx, dir, "checkout", "--quiet", "--detach", "FETCH_HEAD")
	return err
}

// plainGit runs git so that it asks nothing, runs no hooks, and changes no line ends.
func plainGit(ctx context.Context, dir string, args ...string) (string, error) {
	return plainGitWith(ctx, nil, dir, args...)
}

// plainGitWith is plainGit with more environment variables.
func plainGitWith(ctx context.Context, env []string, dir string, args ...string) (string, error) {
	fixed := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "protocol.ext.allow=never"}
	cmd := exec.CommandContext(ctx, "git", append(fixed, args...)...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("git is not installed (install it)")
	case errors.As(err, &exit):
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("git: %s", strings.TrimPrefix(lines[len(lines)-1], "fatal: "))
	}
	return string(out), err
}
