package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/slipway-ci/slipway/buildkit"
	"golang.org/x/sync/errgroup"
)

// Push brings a built image into a repository and returns it with that
// repository and the tags. Blobs and manifests that are there are not sent, a
// tag that stands for the image is not set again. Tags come last: whatever
// fails, none stands for an image of which something is missing.
//
// The watch is told of each blob, one call at a time; nil means nobody watches.
// What goes wrong at the registry is a [buildkit.RegistryError].
func (c *Client) Push(ctx context.Context, img buildkit.Image, repository string, tags []string, watch func(buildkit.Progress)) (buildkit.Image, error) {
	return c.bring(ctx, img, built{c.Content}, nil, repository, tags, watch)
}

// bring carries an image from a source to a repository. Blobs are mounted from
// near, if that is a repository of the same registry.
func (c *Client) bring(ctx context.Context, img buildkit.Image, from source, near *repository, to string, tags []string, watch func(buildkit.Progress)) (buildkit.Image, error) {
	repo, err := c.repository(to)
	if err != nil {
		return buildkit.Image{}, err
	}
	if !buildkit.IsDigest(img.Digest) {
		return buildkit.Image{}, fmt.Errorf("image has no digest like sha256:<64 hex digits> but %q", img.Digest)
	}
	for _, tag := range tags {
		if !buildkit.IsTag(tag) {
			return buildkit.Image{}, fmt.Errorf("%q is no tag (letters, digits, dots, dashes, underscores; at most 128)", tag)
		}
	}
	t := &transfer{client: c, from: from, near: near, repo: repo, report: watch}
	root := descriptor{Digest: img.Digest, MediaType: img.MediaType}
	if err := t.manifest(ctx, root); err != nil {
		return buildkit.Image{}, c.fault(ctx, repo, to+"@"+img.Digest, err)
	}
	if err := t.beside(ctx, root); err != nil {
		return buildkit.Image{}, c.fault(ctx, repo, to+"@"+img.Digest, err)
	}
	for _, tag := range tags {
		if err := t.tag(ctx, root, tag); err != nil {
			return buildkit.Image{}, c.fault(ctx, repo, to+":"+tag, err)
		}
	}
	if img.MediaType == "" || img.Size == 0 {
		d, err := c.headManifest(ctx, repo, img.Digest, transport.PushScope)
		if err != nil {
			return buildkit.Image{}, c.fault(ctx, repo, to+"@"+img.Digest, err)
		}
		img.MediaType, img.Size = d.MediaType, d.Size
	}
	img.Repository, img.Tags = to, slices.Clone(tags)
	return img, nil
}

// A transfer brings one image into one repository.
type transfer struct {
	client *Client
	from   source
	near   *repository // of the same registry, that holds all blobs; may be nil
	repo   repository

	mu     sync.Mutex
	report func(buildkit.Progress)
}

func (t *transfer) watch(p buildkit.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report != nil {
		t.report(p)
	}
}

// beside brings up what lies beside the image: what was said of it when it was
// built, or what refers to it where it comes from.
func (t *transfer) beside(ctx context.Context, root descriptor) error {
	if from, ok := t.from.(pushed); ok {
		if from.repo.String() == t.repo.String() {
			return nil
		}
		return t.follow(ctx, from.repo, root.Digest)
	}
	if said, ok := t.client.Content.(Statements); !ok || len(said.Statements(root.Digest)) == 0 {
		return nil
	}
	d, err := t.client.headManifest(ctx, t.repo, root.Digest, transport.PushScope)
	if err != nil {
		return err
	}
	return t.attach(ctx, d)
}

// manifest brings a manifest or index up, after all that it names.
func (t *transfer) manifest(ctx context.Context, d descriptor) error {
	_, err := t.client.headManifest(ctx, t.repo, d.Digest, transport.PushScope)
	if err == nil || !errors.Is(err, buildkit.ErrNotFound) {
		return err
	}
	m, err := t.from.manifest(ctx, d)
	if err != nil {
		return err
	}
	parts, gctx := errgroup.WithContext(ctx)
	parts.SetLimit(2 * transfers)
	for _, d := range m.blobs() {
		parts.Go(func() error { return t.ensure(gctx, d) })
	}
	for _, d := range m.Manifests {
		parts.Go(func() error { return t.manifest(gctx, d) })
	}
	if err := parts.Wait(); err != nil {
		return err
	}
	release, err := t.client.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	return t.client.putManifest(ctx, t.repo, m, m.Digest)
}

// tag lets a tag stand for a manifest that is in the repository.
func (t *transfer) tag(ctx context.Context, d descriptor, tag string) error {
	now, err := t.client.headManifest(ctx, t.repo, tag, transport.PushScope)
	if err == nil && now.Digest == d.Digest {
		return nil
	}
	if err != nil && !errors.Is(err, buildkit.ErrNotFound) {
		return err
	}
	// Its own bytes, from the repository: the builder may have pruned them.
	m, err := t.client.getManifest(ctx, t.repo, d.Digest)
	if err != nil {
		return err
	}
	return t.client.putManifest(ctx, t.repo, m, tag)
}
