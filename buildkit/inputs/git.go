package inputs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/buildkit"
)

// checkouts are the git repositories that a Reader has seen. A ref stands for one
// commit for as long as the Reader lives.
type checkouts struct {
	mu      sync.Mutex
	commits map[string]string // by URL and ref
}

var commitPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`) })

// checkout returns the folder that g means, and sets its commit. What was checked
// out once is there for the next run. It is not part of the folder's digest where
// it came from: the same files at another commit have the same key.
func (r *Reader) checkout(ctx context.Context, g *buildkit.Git) (string, error) {
	r.checkouts.mu.Lock()
	defer r.checkouts.mu.Unlock()
	shown := g.URL
	if u, err := url.Parse(g.URL); err == nil {
		shown = u.Redacted()
	}
	dir, err := r.checkoutOnce(ctx, g)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, buildkit.ErrNoContext):
		return "", err
	case err != nil:
		return "", &buildkit.GitError{URL: shown, Err: err}
	}
	return dir, nil
}

func (r *Reader) checkoutOnce(ctx context.Context, g *buildkit.Git) (string, error) {
	if r.State == "" {
		return "", errors.New("there is no folder to check it out to")
	}
	if strings.HasPrefix(g.Ref, "-") {
		return "", fmt.Errorf("%q is no ref", g.Ref)
	}
	id := g.URL + "#" + g.Ref
	if g.Commit == "" {
		g.Commit = r.checkouts.commits[id]
	}
	if g.Commit == "" {
		commit, err := remoteCommit(ctx, g)
		if err != nil {
			return "", err
		}
		if r.checkouts.commits == nil {
			r.checkouts.commits = map[string]string{}
		}
		g.Commit, r.checkouts.commits[id] = commit, commit
	}
	sum := sha256.Sum256([]byte(g.URL))
	repo := filepath.Join(r.State, "git", hex.EncodeToString(sum[:8]))
	dir := filepath.Join(repo, g.Commit)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := fetch(ctx, g, repo, dir); err != nil {
			return "", err
		}
	}
	return subfolder(dir, g)
}

// subfolder returns the folder within a checkout, which links must not lead out of.
func subfolder(dir string, g *buildkit.Git) (string, error) {
	at, err := filepath.EvalSymlinks(filepath.Join(dir, filepath.FromSlash(g.Subdir)))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w %s in %s at %.12s", buildkit.ErrNoContext, g.Subdir, g.URL, g.Commit)
	}
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(dir, at); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%w: %s leads out of %s", buildkit.ErrNoContext, g.Subdir, g.URL)
	}
	return at, nil
}

// remoteCommit asks the remote what a ref stands for.
func remoteCommit(ctx context.Context, g *buildkit.Git) (string, error) {
	if commitPattern().MatchString(g.Ref) {
		return g.Ref, nil
	}
	ref := g.Ref
	if ref == "" {
		ref = "HEAD"
	}
	out, err := git(ctx, "", "ls-remote", "--", g.URL, ref, ref+"^{}")
	if err != nil {
		return "", err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok && commitPattern().MatchString(commit) {
			found[name] = commit
		}
	}
	for _, name := range []string{"refs/heads/" + ref, "refs/tags/" + ref + "^{}", "refs/tags/" + ref, ref} {
		if commit := found[name]; commit != "" {
			return commit, nil
		}
	}
	return "", fmt.Errorf("it has no branch or tag %q (a commit is named by all of its 40 digits)", ref)
}

// fetch brings one commit, with its submodules, into the folder dir, whole or not
// at all.
func fetch(ctx context.Context, g *buildkit.Git, repo, dir string) error {
	if err := os.MkdirAll(repo, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(repo, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // nothing is there after the rename
	if _, err := git(ctx, tmp, "init", "--quiet"); err != nil {
		return err
	}
	fetchOf := func(what string) error {
		_, err := git(ctx, tmp, "fetch", "--quiet", "--depth=1", "--no-tags", "--", g.URL, what)
		return err
	}
	if err := fetchOf(g.Commit); err != nil { // a server may not give what no ref names
		if g.Ref == "" || commitPattern().MatchString(g.Ref) || fetchOf(g.Ref) != nil {
			return err
		}
	}
	if _, err := git(ctx, tmp, "checkout", "--quiet", "--detach", g.Commit); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(tmp, ".gitmodules")); err == nil {
		if _, err := git(ctx, tmp, "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"); err != nil {
			return err
		}
	}
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// git runs git so that it asks nothing, runs no hooks, and changes no line ends.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	fixed := []string{"-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false", "-c", "protocol.ext.allow=never"}
	cmd := exec.CommandContext(ctx, "git", append(fixed, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("git is not installed (install it, or use a folder)")
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %s", args[0], lastLine(said.String(), err))
	}
	return string(out), nil
}

// lastLine returns the last line of what git said, which says why.
func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := strings.TrimPrefix(lines[len(lines)-1], "fatal: "); last != "" {
		return last
	}
	return err.Error()
}
