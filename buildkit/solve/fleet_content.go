package solve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// Open returns a blob, of whichever builder holds it. Where the builder goes away
// in the middle, the rest comes from another. See [Builder.Open].
func (f *Fleet) Open(ctx context.Context, blob string) (io.ReadCloser, error) {
	f.init()
	ra, err := f.contents().ReaderAt(ctx, ocispecs.Descriptor{Digest: digest.Digest(blob)})
	if cerrdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%s in the builders: %w", blob, buildkit.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in the builders: %w", blob, err)
	}
	return &blobReader{bufio.NewReaderSize(io.NewSectionReader(ra, 0, ra.Size()), 1<<20), ra}, nil
}

// Has reports whether the builders together hold an image with all that it names.
func (f *Fleet) Has(ctx context.Context, image string) (bool, error) {
	f.init()
	whole, err := hasAll(ctx, f.contents(), ocispecs.Descriptor{Digest: digest.Digest(image)})
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return whole, err
}

// contents is what all builders hold, as one store to read from. What was lost
// with a builder is built again.
func (f *Fleet) contents() content.Store { return fleetStore{fleet: f, rebuilds: true} }

// A fleetStore reads from whichever builder holds a blob. Of a content.Store it
// has what BuildKit asks of a source of images; nothing can be written to it.
type fleetStore struct {
	content.Store // nil
	fleet         *Fleet
	rebuilds      bool // builds again what was lost; not while a build reads it
}

// Info implements [content.Store].
func (s fleetStore) Info(ctx context.Context, dgst digest.Digest) (info content.Info, err error) {
	if raw := s.fleet.index(dgst); raw != nil {
		return content.Info{Digest: dgst, Size: int64(len(raw))}, nil
	}
	err = s.ask(ctx, func(store content.Store) (err error) {
		info, err = store.Info(ctx, dgst)
		return err
	})
	return info, err
}

// ReaderAt implements [content.Store].
func (s fleetStore) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	if raw := s.fleet.index(desc.Digest); raw != nil {
		return indexReader{bytes.NewReader(raw)}, nil
	}
	r := &fleetReader{store: s, ctx: ctx, desc: desc}
	return r, r.open()
}

func (f *Fleet) index(dgst digest.Digest) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joined[dgst.String()]
}

// ask asks the builders that are there, one after the other, until one knows.
func (s fleetStore) ask(ctx context.Context, question func(content.Store) error) error {
	f := s.fleet
	err := f.askAll(ctx, question)
	for err != nil && s.rebuilds && ctx.Err() == nil {
		again, restoreErr := f.restore(ctx)
		if restoreErr != nil {
			return restoreErr
		}
		err = f.askAll(ctx, question) // also when others have built it again meanwhile
		if !again {
			return err
		}
	}
	return err
}

func (f *Fleet) askAll(ctx context.Context, question func(content.Store) error) error {
	err := error(cerrdefs.ErrNotFound)
	for _, m := range f.Members {
		if m.lost() != nil {
			continue
		}
		store, storeErr := m.store(ctx)
		if storeErr == nil {
			if storeErr = question(store); storeErr == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if cerrdefs.IsNotFound(storeErr) {
			continue
		}
		if m.alive(ctx) {
			err = storeErr
		} else {
			m.lose(storeErr)
		}
	}
	return err
}

// restoring is the key of a context within which something is built again: the
// images that are, and so cannot be needed for it.
type restoring struct{}

// restore builds one image again that was built on a builder that is gone, and
// reports whether there was one. One is built at a time; what that needs is
// built within.
func (f *Fleet) restore(ctx context.Context) (bool, error) {
	within, _ := ctx.Value(restoring{}).([]string)
	if within == nil {
		select {
		case f.again <- struct{}{}:
			defer func() { <-f.again }()
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	digest, p := f.lost(within)
	if p == nil {
		return false, nil
	}
	ctx = context.WithValue(ctx, restoring{}, append(slices.Clone(within), digest))
	img, err := f.buildOne(ctx, p.spec, func(buildkit.Progress) {})
	if err == nil && img.Digest != digest {
		err = fmt.Errorf("a builder went away with image %s, and building it again gave %s: its commands are not repeatable", buildkit.Short(digest), buildkit.Short(img.Digest))
	}
	return err == nil, err
}

// lost returns an image that was built on a builder that is gone, or nil.
func (f *Fleet) lost(except []string) (string, *product) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for digest, p := range f.made {
		if p.at.lost() != nil && !slices.Contains(except, digest) {
			return digest, p
		}
	}
	return "", nil
}

// A fleetReader reads a blob, and goes on elsewhere when the builder goes away.
type fleetReader struct {
	store fleetStore
	ctx   context.Context //nolint:containedctx // of the call that opened it, as the stores themselves keep it
	desc  ocispecs.Descriptor
	now   content.ReaderAt
}

var _ content.ReaderAt = (*fleetReader)(nil)

func (r *fleetReader) open() error {
	return r.store.ask(r.ctx, func(store content.Store) (err error) {
		r.now, err = store.ReaderAt(r.ctx, r.desc)
		return err
	})
}

// ReadAt implements [io.ReaderAt].
func (r *fleetReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.now.ReadAt(p, off)
	for err != nil && !errors.Is(err, io.EOF) && r.ctx.Err() == nil {
		_ = r.now.Close() // its builder is gone
		if openErr := r.open(); openErr != nil {
			return n, openErr
		}
		var more int
		more, err = r.now.ReadAt(p[n:], off+int64(n))
		if n += more; more == 0 {
			break
		}
	}
	return n, err
}

func (r *fleetReader) Size() int64  { return r.now.Size() }
func (r *fleetReader) Close() error { return r.now.Close() }

// An indexReader reads an index that lies with us.
type indexReader struct{ *bytes.Reader }

func (indexReader) Close() error { return nil }
