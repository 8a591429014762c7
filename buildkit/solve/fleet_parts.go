package solve

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/buildkit"
)

// parts groups the platforms of a spec by the builder that they are built on:
// one whose own platform it is. One group means that nothing has to be joined.
func (f *Fleet) parts(ctx context.Context, spec buildkit.Spec) [][]string {
	if len(spec.Platforms) < 2 || len(f.Members) < 2 {
		return nil
	}
	members := f.order(ctx, spec)
	var keys []*Member
	groups := map[*Member][]string{}
	for _, platform := range spec.Platforms {
		at := members[0]
		for _, m := range members {
			if m.lost() == nil && samePlatform(m.own(ctx), platform) {
				at = m
				break
			}
		}
		if groups[at] == nil {
			keys = append(keys, at)
		}
		groups[at] = append(groups[at], platform)
	}
	var parts [][]string
	for _, m := range keys {
		parts = append(parts, groups[m])
	}
	return parts
}

// own returns the platform that a builder runs without emulation; empty if it
// does not say.
func (m *Member) own(ctx context.Context) string {
	if m.Platform != "" {
		return m.Platform
	}
	m.mu.Lock()
	told := m.told
	m.mu.Unlock()
	if told != "" {
		return told
	}
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	all, err := m.Platforms(ctx)
	if err != nil || len(all) == 0 {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = all[0]
	return m.told
}

// buildParts builds each part where it belongs, at the same time, and joins them.
func (f *Fleet) buildParts(ctx context.Context, spec buildkit.Spec, parts [][]string, watch func(buildkit.Progress)) (buildkit.Image, error) {
	images := make([]buildkit.Image, len(parts))
	group, gctx := errgroup.WithContext(ctx)
	for i, part := range parts {
		group.Go(func() (err error) {
			spec := spec
			spec.Platforms = part
			images[i], err = f.buildOne(gctx, spec, watch)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return buildkit.Image{}, err
	}
	return f.join(ctx, spec, images)
}

// join makes the index that one builder would have made of all platforms: the
// same bytes, so the digest does not tell how many there were. It lies with us;
// what it names, with the builders.
func (f *Fleet) join(ctx context.Context, spec buildkit.Spec, images []buildkit.Image) (buildkit.Image, error) {
	wanted := spec.Platforms
	var all []ocispecs.Descriptor
	for _, img := range images {
		found, err := f.manifestsOf(ctx, img)
		if err != nil {
			return buildkit.Image{}, err
		}
		all = append(all, found...)
	}
	rank := func(d ocispecs.Descriptor) int {
		at := slices.IndexFunc(wanted, func(text string) bool {
			p, err := platforms.Parse(text)
			return err == nil && d.Platform != nil && platforms.Only(p).Match(*d.Platform) && samePlatform(text, platforms.Format(*d.Platform))
		})
		if at < 0 {
			return len(wanted)
		}
		return at
	}
	slices.SortStableFunc(all, func(a, b ocispecs.Descriptor) int { return rank(a) - rank(b) })
	raw, err := json.MarshalIndent(ocispecs.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageIndex, Manifests: all,
		Annotations: spec.Result.Annotations,
	}, "", "  ")
	if err != nil {
		return buildkit.Image{}, err
	}
	img := buildkit.Image{Digest: digest.FromBytes(raw).String(), MediaType: ocispecs.MediaTypeImageIndex, Size: int64(len(raw))}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.joined[img.Digest] = raw
	return img, nil
}

// manifestsOf returns what an index names of one image: those of an index, or
// the image itself with the platform that its config says.
func (f *Fleet) manifestsOf(ctx context.Context, img buildkit.Image) ([]ocispecs.Descriptor, error) {
	desc := ocispecs.Descriptor{MediaType: img.MediaType, Digest: digest.Digest(img.Digest), Size: img.Size}
	var manifest struct {
		Config    ocispecs.Descriptor
		Manifests []ocispecs.Descriptor
	}
	if err := f.decode(ctx, desc, &manifest); err != nil {
		return nil, err
	}
	if manifest.Manifests != nil {
		return manifest.Manifests, nil
	}
	var config ocispecs.Image
	if err := f.decode(ctx, manifest.Config, &config); err != nil {
		return nil, err
	}
	p := platforms.Normalize(config.Platform)
	desc.Platform = &p
	return []ocispecs.Descriptor{desc}, nil
}

func (f *Fleet) decode(ctx context.Context, desc ocispecs.Descriptor, into any) error {
	raw, err := readManifest(ctx, f.contents(), desc)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", desc.Digest, err)
	}
	return nil
}
