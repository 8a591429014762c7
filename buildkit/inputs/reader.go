package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
	"golang.org/x/sync/errgroup"
)

// ErrNoTarget reports that the Dockerfile has no stage of the target's name.
var ErrNoTarget = errors.New("no stage")

// ErrNoResolver reports that a Dockerfile names a base image by tag while
// nothing was given that could look it up.
var ErrNoResolver = errors.New("base images cannot be looked up here (name it by digest)")

// A Reader reads what a build depends on. Its zero value knows Dockerfiles
// whose bases need no lookup.
type Reader struct {
	// Resolve returns the digest that an image of a FROM, COPY --from or RUN
	// --mount=from stands for now. It is called once for each image, from
	// several goroutines, and must not change anything. While it is nil, images
	// without a digest are ErrNoResolver.
	Resolve func(ctx context.Context, ref string) (digest string, err error)

	// Platform is the builder's own; empty means linux on this machine's architecture.
	Platform string
}

// Inputs returns what the build depends on as it stands now: the key over it,
// the size of its context, and the digest of each base image, by its name as it
// stands in the Dockerfile with ARGs filled in. A base that spec.Bases holds, or
// that is named by digest, is not looked up.
//
// A fault in the Dockerfile, and a base that cannot be found, is a
// [buildkit.SolveError] with the line.
func (r *Reader) Inputs(ctx context.Context, spec buildkit.Spec) (buildkit.Inputs, error) {
	root, err := openContext(spec.Context)
	if err != nil {
		return buildkit.Inputs{}, err
	}
	defer root.Close()
	platforms, err := r.platforms(spec.Platforms)
	if err != nil {
		return buildkit.Inputs{}, err
	}
	dockerfile, err := readDockerfile(root, spec)
	if err != nil {
		return buildkit.Inputs{}, err
	}
	images, err := dockerfile.images(spec, platforms)
	if err != nil {
		return buildkit.Inputs{}, err
	}
	filter, err := newFilter(root, spec)
	if err != nil {
		return buildkit.Inputs{}, err
	}

	var in buildkit.Inputs
	var tree [32]byte
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		in.Bases, err = r.resolve(ctx, dockerfile, images, spec.Bases)
		return err
	})
	both.Go(func() (err error) {
		tree, in.Files, in.Bytes, err = treeDigest(ctx, root, filter)
		return err
	})
	if err := both.Wait(); err != nil {
		return buildkit.Inputs{}, err
	}
	in.Key = key(spec, dockerfile.text, platforms.wanted, in.Bases, tree)
	return in, nil
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
