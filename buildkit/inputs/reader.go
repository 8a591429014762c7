package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/slipway-ci/slipway/buildkit"
	"golang.org/x/sync/errgroup"
)

// ErrNoTarget reports that the Dockerfile has no stage of the target's name.
var ErrNoTarget = errors.New("no stage")

// ErrNoResolver reports that a Dockerfile names a base image by tag while
// nothing was given that could look it up.
var ErrNoResolver = errors.New("base images cannot be looked up here (name it by digest)")

// A Reader reads what a build depends on. Its zero value knows Dockerfiles
// whose bases need no lookup, and remembers nothing.
type Reader struct {
	// Resolve returns the digest that an image of a FROM, COPY --from or RUN
	// --mount=from stands for now. It is called once for each image, from
	// several goroutines, and must not change anything. While it is nil, images
	// without a digest are ErrNoResolver.
	Resolve func(ctx context.Context, ref string) (digest string, err error)

	// Platform is the builder's own; empty means linux on this machine's architecture.
	Platform string

	// State is a folder for what makes the next look cheap: digests of files that
	// have not changed, and checkouts of git contexts. Losing it costs time and
	// nothing else. While it is empty, every file is read each time, and git
	// contexts are an error.
	State string

	bases     lookups
	looks     looks
	checkouts checkouts
}

// Inputs returns what the build depends on as it stands now: the key over it,
// the size of its context, and the digest of each base image, by its name as it
// stands in the Dockerfile with ARGs filled in. A base that spec.Bases holds, or
// that is named by digest, is not looked up.
//
// A fault in the Dockerfile, and a base that cannot be found, is a
// [buildkit.SolveError] with the line; a git repository that cannot be read is a
// [buildkit.GitError].
func (r *Reader) Inputs(ctx context.Context, spec buildkit.Spec) (buildkit.Inputs, error) {
	s, err := r.open(ctx, &spec)
	if err != nil {
		return buildkit.Inputs{}, err
	}
	defer s.close()
	in := buildkit.Inputs{Base: full(s.base), Context: spec.Context, Contexts: maps.Clone(spec.Contexts)}
	var tree [32]byte
	both, gctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		in.Bases, err = r.resolve(gctx, s.dockerfile, s.images, spec.Bases)
		return err
	})
	both.Go(func() (err error) {
		tree, in.Files, in.Bytes, err = r.treeDigest(gctx, s.root, s.filter, nil)
		return err
	})
	if err := both.Wait(); err != nil {
		return buildkit.Inputs{}, err
	}
	in.BaseSum = in.Bases[s.base]
	for name, c := range in.Contexts {
		if c.Folder == "" {
			continue
		}
		if c.Key, err = r.Folder(ctx, c.Folder, nil); err != nil {
			return buildkit.Inputs{}, fmt.Errorf("context %s: %w", name, err)
		}
		in.Contexts[name] = c
	}
	spec.Contexts, spec.Bases = in.Contexts, in.Bases
	in.Key = key(spec, s.dockerfile.text, s.platforms.wanted, tree)
	return in, nil
}

// Parts returns the inputs of a build one by one. The spec has what [Reader.Inputs]
// found out: context, bases, and the keys of named contexts.
func (r *Reader) Parts(ctx context.Context, spec buildkit.Spec) (buildkit.Parts, error) {
	s, err := r.open(ctx, &spec)
	if err != nil {
		return nil, err
	}
	defer s.close()
	parts := partsOf(spec, s.dockerfile.text, s.platforms.wanted)
	_, _, _, err = r.treeDigest(ctx, s.root, s.filter, func(path string, sum []byte) { parts["file "+path] = short(sum) })
	return parts, err
}

// Folder returns a digest over the files of a folder that are sent: all that
// include names, but for .git and what .dockerignore names.
func (r *Reader) Folder(ctx context.Context, dir string, include []string) (string, error) {
	root, err := openContext(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	filter, err := newFilter(root, buildkit.Spec{Context: dir, Include: include})
	if err != nil {
		return "", err
	}
	sum, _, _, err := r.treeDigest(ctx, root, filter, nil)
	return fmt.Sprintf("%x", sum), err
}

// A source is what a spec says, opened.
type source struct {
	root       *os.Root
	dockerfile *dockerfile
	platforms  platformSet
	images     map[string]int
	base       string
	filter     *filter
}

func (s *source) close() { _ = s.root.Close() } // it was only read

// open reads all of a spec but its files and bases. Folders that lie in git
// repositories are checked out, and spec names them then.
func (r *Reader) open(ctx context.Context, spec *buildkit.Spec) (_ *source, err error) {
	if spec.Git != nil {
		if spec.Context, err = r.checkout(ctx, spec.Git); err != nil {
			return nil, err
		}
	}
	spec.Contexts = maps.Clone(spec.Contexts)
	for _, name := range slices.Sorted(maps.Keys(spec.Contexts)) {
		if c := spec.Contexts[name]; c.Git != nil {
			if c.Folder, err = r.checkout(ctx, c.Git); err != nil {
				return nil, fmt.Errorf("context %s: %w", name, err)
			}
			spec.Contexts[name] = c
		}
	}
	s := &source{}
	if s.root, err = openContext(spec.Context); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.platforms, err = r.platforms(spec.Platforms); err != nil {
		return nil, err
	}
	if s.dockerfile, err = readDockerfile(s.root, *spec); err != nil {
		return nil, err
	}
	if s.images, s.base, err = s.dockerfile.images(*spec, s.platforms); err != nil {
		return nil, err
	}
	s.filter, err = newFilter(s.root, *spec)
	return s, err
}

// openContext opens the folder of a context so that nothing outside it can be read.
func openContext(dir string) (*os.Root, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("%w %q: the path is not absolute", buildkit.ErrNoContext, dir)
	}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w %s (set context: to the folder that is sent)", buildkit.ErrNoContext, dir)
	case err != nil:
		return nil, fmt.Errorf("context: %w", err)
	case !fi.IsDir():
		return nil, fmt.Errorf("%w: %s is a file (context: is the folder that is sent, dockerfile: a path within it)", buildkit.ErrNoContext, dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("context: %w", err)
	}
	return root, nil
}
