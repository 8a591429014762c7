package registry

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
)

// longestBy is how many bytes of an instruction are kept: a here-document is one.
const longestBy = 1 << 10

// Layouts returns what an image consists of, on each of its platforms. It reads
// what the builder holds, which it must have built, and asks no registry.
func (c *Client) Layouts(ctx context.Context, img buildkit.Image) ([]buildkit.Layout, error) {
	from := built{c.Content}
	root, err := from.manifest(ctx, descriptor{Digest: img.Digest, MediaType: img.MediaType})
	if err != nil {
		return nil, err
	}
	if root.Config != nil {
		l, err := from.layout(ctx, root)
		return []buildkit.Layout{l}, err
	}
	var all []buildkit.Layout
	for _, d := range root.Manifests {
		if _, runs := d.platform(); !runs {
			continue
		}
		m, err := from.manifest(ctx, d)
		if err != nil {
			return nil, err
		}
		l, err := from.layout(ctx, m)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// layout joins the layers of m with the instructions of its config, of which
// those that only change the config have no layer.
func (b built) layout(ctx context.Context, m *manifest) (buildkit.Layout, error) {
	if m.Config == nil {
		return buildkit.Layout{}, &sourceError{m.Digest, errDigest}
	}
	r, err := b.blob(ctx, *m.Config)
	if err != nil {
		return buildkit.Layout{}, err
	}
	defer r.Close()
	raw, err := readLimited(r)
	if err != nil {
		return buildkit.Layout{}, err
	}
	var config struct {
		OS, Architecture, Variant string
		History                   []struct {
			By    string `json:"created_by"`
			Empty bool   `json:"empty_layer"`
		}
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return buildkit.Layout{}, &sourceError{m.Config.Digest, err}
	}
	var made []string
	for _, h := range config.History {
		if !h.Empty {
			made = append(made, strings.TrimSuffix(h.By, " # buildkit"))
		}
	}
	l := buildkit.Layout{Digest: m.Digest, Size: m.Config.Size, Platform: strings.Trim(config.OS+"/"+config.Architecture+"/"+config.Variant, "/")}
	for i, d := range m.Layers {
		layer := buildkit.Layer{Digest: d.Digest, Size: d.Size}
		if len(made) == len(m.Layers) {
			layer.By = strings.ToValidUTF8(made[i][:min(len(made[i]), longestBy)], "")
		}
		l.Size += d.Size
		l.Layers = append(l.Layers, layer)
	}
	return l, nil
}
