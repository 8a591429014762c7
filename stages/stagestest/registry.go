package stagestest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
)

// Built implements [stages.Dater].
func (w *World) Built(_ context.Context, img buildkit.Image, key string) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dates[img.Repository+img.Digest+key], nil
}

// Date implements [stages.Dater].
func (w *World) Date(_ context.Context, img buildkit.Image, key string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dates == nil {
		w.dates = map[string]time.Time{}
	}
	when := w.Now
	if when.IsZero() {
		when = time.Now()
	}
	w.dates[img.Repository+img.Digest+key] = when
	return nil
}

// Resolve implements [stages.Registry].
func (w *World) Resolve(_ context.Context, ref string) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.RegistryDown {
		return buildkit.Image{}, &buildkit.RegistryError{Host: buildkit.Host(ref), Ref: ref, Err: errors.New("connection refused")}
	}
	digest, ok := w.Images[ref]
	if !ok {
		return buildkit.Image{}, fmt.Errorf("%s: %w", ref, buildkit.ErrNotFound)
	}
	return buildkit.Image{Digest: digest, Repository: deploy.Repository(ref)}, nil
}

// Push implements [stages.Registry].
func (w *World) Push(_ context.Context, img buildkit.Image, repository string, tags []string, _ func(buildkit.Progress)) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.RegistryDown {
		return img, &buildkit.RegistryError{Host: buildkit.Host(repository), Ref: repository, Err: errors.New("connection refused")}
	}
	if !w.built[img.Digest] {
		return img, fmt.Errorf("the builder has no image %q", img.Digest)
	}
	return w.put(img, repository, tags), nil
}

// Copy implements [stages.Copier].
func (w *World) Copy(_ context.Context, img buildkit.Image, repository string, tags []string, _ func(buildkit.Progress)) (buildkit.Image, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(img, repository, tags), nil
}

func (w *World) put(img buildkit.Image, repository string, tags []string) buildkit.Image {
	if w.Images == nil {
		w.Images = map[string]string{}
	}
	w.Images[repository+"@"+img.Digest] = img.Digest
	for _, t := range tags {
		w.Images[repository+":"+t] = img.Digest
	}
	w.did("push %s", repository)
	img.Repository, img.Tags = repository, tags
	return img
}
