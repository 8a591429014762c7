package registry

import (
	"cmp"
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/slipway-ci/slipway/buildkit"
)

// Resolve returns the image that a reference stands for now: "latest" if it has
// neither tag nor digest, and by its digest if it has both. It changes nothing.
//
// Its error wraps [buildkit.ErrNotFound] if the registry has no such repository,
// tag or digest. Whatever else went wrong at the registry is a
// [buildkit.RegistryError] with the registry's own answer.
func (c *Client) Resolve(ctx context.Context, ref string) (buildkit.Image, error) {
	text, tag, digest, err := splitRef(ref)
	if err != nil {
		return buildkit.Image{}, err
	}
	repo, err := c.repository(text)
	if err != nil {
		return buildkit.Image{}, err
	}
	d, err := c.headManifest(ctx, repo, cmp.Or(digest, tag, "latest"), transport.PullScope)
	if err != nil {
		return buildkit.Image{}, c.fault(ctx, repo, ref, err)
	}
	img := buildkit.Image{Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Repository: text}
	if tag != "" {
		img.Tags = []string{tag}
	}
	return img, nil
}

// ResolveBase is Resolve for what is pulled: mirrors of the registry are asked
// first, one after the other. Who has it not, or does not answer, is passed over.
func (c *Client) ResolveBase(ctx context.Context, ref string) (buildkit.Image, error) {
	text, tag, digest, err := splitRef(ref)
	if err != nil {
		return buildkit.Image{}, err
	}
	repo, err := c.repository(text)
	if err != nil {
		return buildkit.Image{}, err
	}
	host := repo.RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	for _, mirror := range c.Mirrors[host] {
		at := mirror + "/" + repo.RepositoryStr()
		if tag != "" {
			at += ":" + tag
		}
		if digest != "" {
			at += "@" + digest
		}
		img, err := c.Resolve(ctx, at)
		if err == nil {
			img.Repository = text
			return img, nil
		}
		c.log().DebugContext(ctx, "registry: mirror", "mirror", mirror, "of", ref, "err", err)
	}
	return c.Resolve(ctx, ref)
}
