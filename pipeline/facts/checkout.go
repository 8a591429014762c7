package facts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Checkout writes the files of a commit of the git repository that dir lies in into
// an empty folder, and returns the same path as dir in it. Ref is whatever git takes for a
// commit. The repository and its index stay as they are; submodules, and what
// Git LFS holds elsewhere, are not fetched.
func Checkout(ctx context.Context, dir, ref, into string) (string, error) {
	index := filepath.Join(into, ".git", "index")
	if err := os.Mkdir(filepath.Dir(index), 0o755); err != nil { // so it ends a search for the repository, too
		return "", err
	}
	run := func(dir string, args ...string) (string, error) {
		fixed := []string{"-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"}
		out, err := plainGitWith(ctx, []string{"GIT_INDEX_FILE=" + index}, dir, append(fixed, args...)...)
		return strings.TrimSuffix(out, "\n"), err
	}
	top, err := run(dir, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	prefix, err := run(dir, "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	commit, err := run(top, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("there is no commit %s here (fetch it first: git fetch --depth 1 origin %s)", ref, ref)
	}
	if _, err := run(top, "read-tree", commit); err != nil {
		return "", err
	}
	if _, err := run(top, "checkout-index", "--all", "--prefix="+into+string(filepath.Separator)); err != nil {
		return "", err
	}
	return filepath.Join(into, filepath.FromSlash(prefix)), nil
}
