package kustomize

import (
	"context"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
)

// Whole renders a folder in one go.
func Whole(ctx context.Context, dir string) ([]deploy.Object, error) {
	one.Lock()
	defer one.Unlock()
	dir = unlinked(dir)
	return whole((&Renderer{}).newGuard(filepath.Dir(dir), func() error { return context.Cause(ctx) }), dir)
}

// Parts renders a folder in parts of size objects, or says why it may not be.
func Parts(ctx context.Context, dir string, size int) ([]deploy.Object, error) {
	one.Lock()
	defer one.Unlock()
	dir = unlinked(dir)
	d, err := (&Renderer{}).newGuard(filepath.Dir(dir), func() error { return context.Cause(ctx) }).divided(dir, size)
	if err != nil {
		return nil, err
	}
	return d.render()
}
