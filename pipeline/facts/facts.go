// Package facts finds out what expressions may know of the surroundings: the
// git commit, the CI job, and the folders beside the file.
//
// # Owns
//
// The meaning of every field of git and ci; see pipeline.Facts for their names.
//
// # May touch
//
// The git command, which is run nowhere else, the environment it is given, and the
// names of folders.
package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/pipeline"
)

// Git returns a function that gives the facts of the commit checked out in dir,
// or an error where there are none. Of a tree that was taken out of its repository
// they are those that were saved with it, in the file [Saved]. Git is run when it is
// first called, once, if there may be a repository.
func Git(ctx context.Context, dir string, env func(string) (string, bool)) func() any {
	return sync.OnceValue(func() any {
		m, err := git(ctx, dir, env)
		if err != nil {
			if m := saved(dir); m != nil {
				return m
			}
			return err
		}
		return m
	})
}

func git(ctx context.Context, dir string, env func(string) (string, bool)) (map[string]any, error) {
	if _, told := env("GIT_DIR"); !told && !inRepository(dir) {
		return nil, errors.New("not a git repository, nor are the folders above it (git init, or use no git facts)")
	}
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "--no-optional-locks"}, args...)...).Output()
		var exit *exec.ExitError
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return "", errors.New("git is not installed (install it, or use no git facts)")
		case errors.As(err, &exit):
			return "", fmt.Errorf("git: %s", strings.TrimSpace(string(exit.Stderr)))
		}
		return strings.TrimSpace(string(out)), err
	}
	head, err := run("-c", "log.showSignature=false", "log", "-1", "--abbrev=12", "--format=%H %h %ct")
	if err != nil {
		return nil, err
	}
	var status, describe, branch, tag string
	var all errgroup.Group // side by side; none is killed for another's failure, as it may hold the lock of the index
	ask := func(answer *string, args ...string) {
		all.Go(func() (err error) { *answer, err = run(args...); return err })
	}
	ask(&status, "status", "--porcelain", "--untracked-files=normal")
	ask(&describe, "describe", "--tags", "--always", "--dirty", "--abbrev=12")
	ask(&branch, "branch", "--show-current")
	all.Go(func() error {
		tag, _ = run("describe", "--tags", "--exact-match") // most commits have none
		return nil
	})
	if err := all.Wait(); err != nil {
		return nil, err
	}
	if name, ok := env("GITHUB_REF_NAME"); ok { // Actions checks out a commit: it knows which ref was meant
		switch kind, _ := env("GITHUB_REF_TYPE"); {
		case kind == "branch" && branch == "":
			branch = name
		case kind == "tag":
			tag = name
		}
	}
	f := strings.Fields(head)
	epoch, err := strconv.Atoi(f[2])
	if err != nil {
		return nil, err
	}
	slug := pipeline.Slug(branch)
	if slug == "" {
		slug = f[1]
	}
	return map[string]any{
		"sha": f[0], "short": f[1], "branch": branch, "tag": tag, "slug": slug,
		"describe": describe, "dirty": status != "", "epoch": epoch,
	}, nil
}

// inRepository reports whether git may find a repository from dir. It looks where git does,
// in dir and each folder above it (git(1), GIT_CEILING_DIRECTORIES), and says yes where it
// is in doubt: git need not be run where there is none. A bare repository, or the
// inside of one, has a HEAD.
func inRepository(dir string) bool {
	if runtime.GOOS == "windows" {
		return true // folders can be others there than their paths say
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir) // it looks above where it is, not above what led there
	}
	if err != nil {
		return true // git will say
	}
	for {
		for _, name := range []string{".git", "HEAD"} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return true
			}
		}
		above := filepath.Dir(dir)
		if above == dir {
			return false
		}
		dir = above
	}
}

// CI returns the facts of the CI job that env describes. Outside of CI all
// fields are empty.
func CI(env func(string) (string, bool)) map[string]any {
	get := func(name string) string { v, _ := env(name); return v }
	switch {
	case get("GITHUB_ACTIONS") == "true":
		return map[string]any{
			"name": "github", "run": get("GITHUB_RUN_ID"),
			"url": get("GITHUB_SERVER_URL") + "/" + get("GITHUB_REPOSITORY") + "/actions/runs/" + get("GITHUB_RUN_ID"),
		}
	case get("GITLAB_CI") == "true":
		return map[string]any{"name": "gitlab", "run": get("CI_PIPELINE_ID"), "url": get("CI_PIPELINE_URL")}
	}
	return map[string]any{"name": "", "run": "", "url": ""}
}
