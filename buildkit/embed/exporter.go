//go:build linux

package embed

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/worker/base"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A dating worker gives layers their final times when it packs them. BuildKit packs
// a layer with the times that its files have, and with the exporter's option
// rewrite-timestamp unpacks it, changes the times, and packs it again, in every
// export. To it, our layers are rewritten already.
type datingWorker struct {
	*base.Worker
	layers *layers
}

// Exporter implements [worker.Worker].
func (w *datingWorker) Exporter(name string, sm *session.Manager) (exporter.Exporter, error) {
	e, err := w.Worker.Exporter(name, sm)
	if err != nil || name != client.ExporterImage {
		return e, err
	}
	return datingExporter{e, w.layers}, nil
}

type datingExporter struct {
	exporter.Exporter
	layers *layers
}

// Resolve implements [exporter.Exporter].
func (e datingExporter) Resolve(ctx context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	x, err := e.Exporter.Resolve(ctx, id, attrs)
	if err != nil {
		return nil, err
	}
	if rewrite, _ := strconv.ParseBool(attrs[string(exptypes.OptKeyRewriteTimestamp)]); !rewrite {
		return x, nil
	}
	seconds, err := strconv.ParseInt(attrs[string(exptypes.OptKeySourceDateEpoch)], 10, 64)
	if err != nil {
		return x, nil // BuildKit finds the epoch elsewhere, or none
	}
	return datingExport{x, e.layers, time.Unix(seconds, 0).UTC()}, nil
}

type datingExport struct {
	exporter.ExporterInstance
	layers *layers
	epoch  time.Time
}

// Export implements [exporter.ExporterInstance].
func (e datingExport) Export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	dated, err := e.dated(src)
	if err != nil {
		return nil, nil, nil, err
	}
	return e.ExporterInstance.Export(ctx, dated, info)
}

// dated returns what is exported with layers of ours.
func (e datingExport) dated(src *exporter.Source) (*exporter.Source, error) {
	platforms, err := exptypes.ParsePlatforms(src.Metadata)
	if err != nil {
		return nil, err
	}
	out := src.Clone()
	for _, p := range platforms.Platforms {
		ref, ok := src.FindRef(p.ID)
		if !ok || ref == nil {
			continue
		}
		base, err := diffIDs(exptypes.ParseKey(src.Metadata, exptypes.ExporterImageBaseConfigKey, &p))
		if err != nil {
			return nil, fmt.Errorf("configuration of the base image: %w", err)
		}
		of := datedRef{ref, e.layers, e.epoch, base}
		if out.Refs[p.ID] != nil {
			out.Refs[p.ID] = of
		} else {
			out.Ref = of
		}
	}
	return out, nil
}

// diffIDs returns the layers of an image, lowest first, as its configuration has them.
func diffIDs(config []byte) ([]digest.Digest, error) {
	if len(config) == 0 {
		return nil, nil
	}
	var image ocispecs.Image
	err := json.Unmarshal(config, &image)
	return image.RootFS.DiffIDs, err
}

// A datedRef is a result of a build that is exported with layers of ours, but for
// those of the image it is based on, which stay as they are.
type datedRef struct {
	cache.ImmutableRef
	layers *layers
	epoch  time.Time
	base   []digest.Digest
}

// GetRemotes implements [cache.ImmutableRef].
func (r datedRef) GetRemotes(ctx context.Context, create bool, cfg cacheconfig.RefConfig, all bool, s session.Group) ([]*solver.Remote, error) {
	if compressor := compressorOf(ctx, cfg.Compression); create && !all && compressor != nil {
		return r.layers.remotes(ctx, r, cfg, compressor, s)
	}
	return r.ImmutableRef.GetRemotes(ctx, create, cfg, all, s)
}
