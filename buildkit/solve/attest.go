package solve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// attest makes the statements that the spec asks for. BuildKit would make them a
// part of the image's index, and with the time of the build in them no two builds
// would have one digest; so they come from a second solve, all of it cached, and
// only they are taken from what it gives.
func (b *Builder) attest(ctx context.Context, c *client.Client, opt client.SolveOpt, spec buildkit.Spec, img buildkit.Image, watch func(buildkit.Progress)) error {
	if spec.Attest == (buildkit.Attest{}) {
		return nil
	}
	if mode := spec.Attest.Provenance; mode != "" {
		opt.FrontendAttrs["attest:provenance"] = "mode=" + mode
	}
	if scanner := spec.Attest.SBOM; scanner != "" {
		opt.FrontendAttrs["attest:sbom"] = "generator=" + scanner
	}
	opt.Exports[0].Attrs[string(exptypes.OptKeyOCIArtifact)] = "true"
	f := newFollower(spec, watch)
	res, err := c.Solve(ctx, nil, opt, f.start())
	f.wait()
	if err != nil {
		return f.explain(ctx, err)
	}
	attested, err := imageOf(res)
	if err != nil {
		return err
	}
	found, err := b.statements(ctx, attested, img)
	if err != nil {
		return fmt.Errorf("attestations: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attested == nil {
		b.attested = map[string][]buildkit.Statement{}
	}
	b.attested[img.Digest] = found
	return nil
}

// Statements returns what was said about an image that this Builder built.
func (b *Builder) Statements(image string) []buildkit.Statement {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attested[image]
}

// statements reads them from the index that holds them, and makes sure that it is
// about the very image.
func (b *Builder) statements(ctx context.Context, attested, img buildkit.Image) ([]buildkit.Statement, error) {
	store, err := b.store(ctx)
	if err != nil {
		return nil, err
	}
	var index ocispecs.Index
	if err := readJSON(ctx, store, attested.Digest, &index); err != nil {
		return nil, err
	}
	own, err := manifestsOf(ctx, store, img)
	if err != nil {
		return nil, err
	}
	var found []buildkit.Statement
	for _, d := range index.Manifests {
		about := d.Annotations["vnd.docker.reference.digest"]
		if about == "" {
			continue
		}
		platform, ok := own[about]
		if !ok {
			return nil, errors.New("they are about another image than the one that was built: the build gives something else each time")
		}
		var m ocispecs.Manifest
		if err := readJSON(ctx, store, string(d.Digest), &m); err != nil {
			return nil, err
		}
		for _, layer := range m.Layers {
			found = append(found, buildkit.Statement{
				Digest: string(layer.Digest), Size: layer.Size, MediaType: layer.MediaType,
				Predicate: layer.Annotations["in-toto.io/predicate-type"], Platform: platform,
			})
		}
	}
	return found, nil
}

// manifestsOf returns the manifests of an image, and the platform of each where
// there are several.
func manifestsOf(ctx context.Context, store content.Store, img buildkit.Image) (map[string]string, error) {
	var index ocispecs.Index
	if err := readJSON(ctx, store, img.Digest, &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) == 0 {
		return map[string]string{img.Digest: ""}, nil
	}
	own := map[string]string{}
	for _, d := range index.Manifests {
		own[string(d.Digest)] = ""
		if p := d.Platform; p != nil {
			own[string(d.Digest)] = formatPlatform(*p)
		}
	}
	return own, nil
}

func readJSON(ctx context.Context, store content.Store, digest string, into any) error {
	text, err := readManifest(ctx, store, descriptorOf(digest))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
