package registry

import (
	"context"

	"github.com/slipway-ci/slipway/buildkit"
)

// Copy brings an image from the repository where it lies into another, by its
// digest, and tags it there. Within one registry nothing but names is sent. An
// image that lies in the builder alone is pushed. See [Client.Push].
func (c *Client) Copy(ctx context.Context, from buildkit.Image, repository string, tags []string, watch func(buildkit.Progress)) (buildkit.Image, error) {
	if from.Repository == "" {
		return c.Push(ctx, from, repository, tags, watch)
	}
	source, err := c.repository(from.Repository)
	if err != nil {
		return buildkit.Image{}, err
	}
	target, err := c.repository(repository)
	if err != nil {
		return buildkit.Image{}, err
	}
	near := &source
	if source.RegistryStr() != target.RegistryStr() {
		near = nil
	}
	return c.bring(ctx, from, pushed{c, source}, near, repository, tags, watch)
}
