package registry

import (
	"context"
	"errors"
	"sync"

	"github.com/slipway-ci/slipway/buildkit"
	"golang.org/x/sync/errgroup"
)

// contents is what the registry says an image consists of.
type contents struct {
	digests map[string]bool     // the image's, its platforms' manifests and their configs
	configs map[string][]string // by platform, empty for none; usually one each
}

// Equivalent reports whether the digest that a node reports for a running
// container is the image that was pinned: its digest, one of its platforms'
// manifests, the config of it or of one of them, or another digest in the
// repository that the registry resolves to the same config. An index that has
// another config for one of the image's platforms is another image.
//
// It changes nothing. Answers are remembered for the life of the Client.
func (c *Client) Equivalent(ctx context.Context, repository, pinned, reported string) (bool, error) {
	if pinned == reported {
		return true, nil
	}
	repo, err := c.repository(repository)
	if err != nil {
		return false, err
	}
	if !buildkit.IsDigest(reported) || !buildkit.IsDigest(pinned) {
		return false, nil
	}
	want, err := c.contentsOf(ctx, repo, pinned)
	if err != nil {
		return false, c.fault(ctx, repo, repository+"@"+pinned, err)
	}
	if want.digests[reported] {
		return true, nil
	}
	got, err := c.contentsOf(ctx, repo, reported)
	if errors.Is(err, buildkit.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, c.fault(ctx, repo, repository+"@"+reported, err)
	}
	return got.sameConfig(want), nil
}

// sameConfig reports whether two images share a config and contradict each
// other on no platform.
func (a *contents) sameConfig(b *contents) bool {
	shared := false
	for platform, configs := range a.configs {
		same := false
		for _, config := range configs {
			if b.digests[config] {
				same, shared = true, true
			}
		}
		if platform != "" && !same && len(b.configs[platform]) > 0 {
			return false
		}
	}
	return shared
}

func (c *Client) contentsOf(ctx context.Context, repo repository, digest string) (*contents, error) {
	key := repo.String() + "@" + digest
	c.mu.Lock()
	known := c.contents[key]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	found, err := c.readContents(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.contents[key] = found
	c.mu.Unlock()
	return found, nil
}

func (c *Client) readContents(ctx context.Context, repo repository, digest string) (*contents, error) {
	root, err := c.getManifest(ctx, repo, digest)
	if err != nil {
		return nil, err
	}
	found := &contents{digests: map[string]bool{digest: true}, configs: map[string][]string{}}
	var mu sync.Mutex
	add := func(platform string, m *manifest) {
		mu.Lock()
		defer mu.Unlock()
		found.digests[m.Digest] = true
		if m.Config != nil {
			found.digests[m.Config.Digest] = true
			found.configs[platform] = append(found.configs[platform], m.Config.Digest)
		}
	}
	add("", root)
	platforms, ctx := errgroup.WithContext(ctx)
	platforms.SetLimit(transfers)
	for _, d := range root.Manifests {
		platform, runs := d.platform()
		if !runs {
			continue
		}
		platforms.Go(func() error {
			m, err := c.getManifest(ctx, repo, d.Digest)
			if errors.Is(err, buildkit.ErrNotFound) {
				return nil // an index may name platforms that were not copied along
			}
			if err == nil {
				add(platform, m)
			}
			return err
		})
	}
	return found, platforms.Wait()
}
