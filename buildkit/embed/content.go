//go:build linux

package embed

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// A clean content store forgets what was written when it turns out to be something
// else. Otherwise all who want the same content go on from there, and fail, for as
// long as the state lives.
type clean struct{ content.Store }

// Writer implements [content.Ingester].
func (c clean) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	w, err := c.Store.Writer(ctx, opts...)
	if err != nil {
		return nil, err
	}
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	return &cleanWriter{w, c.Store, o.Ref}, nil
}

type cleanWriter struct {
	content.Writer
	store content.Store
	ref   string
}

// Commit implements [content.Writer].
func (w *cleanWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	err := w.Writer.Commit(ctx, size, expected, opts...)
	if errdefs.IsFailedPrecondition(err) {
		_ = w.store.Abort(ctx, w.ref) // the next writer says so, if it is there still
	}
	return err
}
