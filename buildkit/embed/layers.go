//go:build linux

package embed

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/contentutil"
	"github.com/moby/buildkit/util/flightcontrol"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// layers packs what builds made. What it packed is remembered with the snapshot, and
// goes when that does.
type layers struct {
	store   content.Store
	leases  leases.Manager
	packing flightcontrol.Group[ocispecs.Descriptor] // by snapshot, epoch and compression
	turns   chan struct{}                            // of those that pack: each has buffers of some megabytes
}

func newLayers(store content.Store, leases leases.Manager) *layers {
	return &layers{store: store, leases: leases, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// rewrittenAt is the annotation by which BuildKit knows that a layer has its times.
const rewrittenAt = "buildkit/rewritten-timestamp"

// remotes returns the layers of a result, lowest first. Those of its base are what
// BuildKit has; all others are packed here, so that their bytes depend on nothing but
// the files in them and the epoch.
func (l *layers) remotes(ctx context.Context, of datedRef, cfg cacheconfig.RefConfig, compress compression.Compressor, s session.Group) ([]*solver.Remote, error) {
	chain := of.LayerChain()
	defer func() { _ = chain.Release(context.WithoutCancel(ctx)) }()
	providers := contentutil.NewMultiProvider(l.store)
	descs := make([]ocispecs.Descriptor, len(chain))
	ours := len(chain) // where layers begin that are not the base's
	for i, layer := range chain {
		if i >= len(of.base) || layer.GetString("cache.diffID") != of.base[i].String() {
			ours = i
			break
		}
	}
	each, ctx := errgroup.WithContext(ctx)
	for i, layer := range chain {
		each.Go(func() (err error) {
			if i >= ours {
				descs[i], err = l.dated(ctx, layer, of.epoch, cfg.Compression, compress, s)
				return err
			}
			remote, err := kept(ctx, layer, cfg, s)
			if err != nil {
				return err
			}
			descs[i] = remote.Descriptors[len(remote.Descriptors)-1]
			providers.Add(descs[i].Digest, remote.Provider)
			return nil
		})
	}
	if err := each.Wait(); err != nil {
		return nil, err
	}
	return []*solver.Remote{{Descriptors: descs, Provider: providers}}, nil
}

// kept returns a layer, and all below it, as BuildKit has it.
func kept(ctx context.Context, layer cache.ImmutableRef, cfg cacheconfig.RefConfig, s session.Group) (*solver.Remote, error) {
	remotes, err := layer.GetRemotes(ctx, true, cfg, false, s)
	if err != nil {
		return nil, err
	}
	if len(remotes) == 0 || len(remotes[0].Descriptors) == 0 {
		return nil, fmt.Errorf("snapshot %s has no layer", layer.ID())
	}
	return remotes[0], nil
}

// A packed layer is what is remembered with a snapshot.
type packed struct {
	Epoch int64               `json:"epoch"`
	Level string              `json:"level,omitempty"`
	Layer ocispecs.Descriptor `json:"layer"`
}

// dated returns a layer whose files are from the epoch or earlier.
func (l *layers) dated(ctx context.Context, layer cache.ImmutableRef, epoch time.Time, c compression.Config, compress compression.Compressor, s session.Group) (ocispecs.Descriptor, error) {
	want := packed{Epoch: epoch.Unix()}
	if c.Level != nil {
		want.Level = strconv.Itoa(*c.Level)
	}
	key := "slipway.layer." + c.Type.String()
	flight := fmt.Sprintf("%s %s %d %s", layer.ID(), key, want.Epoch, want.Level)
	desc, err := l.packing.Do(ctx, flight, func(ctx context.Context) (ocispecs.Descriptor, error) {
		var have packed
		_ = json.Unmarshal([]byte(layer.GetString(key)), &have) // what cannot be read is packed again
		if have.Epoch == want.Epoch && have.Level == want.Level && have.Layer.Digest != "" {
			if _, err := l.store.Info(ctx, have.Layer.Digest); err == nil {
				return have.Layer, nil
			}
		}
		lease, ctx, err := leaseutil.NewLease(ctx, l.leases, leaseutil.MakeTemporary) // the caller's may go while others wait
		if err != nil {
			return ocispecs.Descriptor{}, err
		}
		defer func() { _ = lease.Discard(ctx) }()
		want.Layer, err = l.pack(ctx, "slipway-"+flight, epoch, c.Type.MediaType(), compress, func(w io.Writer) error {
			return l.contents(ctx, layer, epoch, s, w)
		})
		if err != nil {
			return ocispecs.Descriptor{}, err
		}
		return want.Layer, l.remember(ctx, layer, key, have, want)
	})
	if err != nil {
		return desc, err
	}
	return desc, l.hold(ctx, desc.Digest)
}

// hold keeps content for as long as the export goes on.
func (l *layers) hold(ctx context.Context, of digest.Digest) error {
	id, ok := leases.FromContext(ctx)
	if !ok {
		return nil
	}
	return l.leases.AddResource(ctx, leases.Lease{ID: id}, resource(of))
}

// remember keeps a layer for as long as its snapshot, whose lease has the same id, in
// place of one with another epoch or level.
func (l *layers) remember(ctx context.Context, layer cache.ImmutableRef, key string, before, now packed) error {
	of := leases.Lease{ID: layer.ID()}
	if err := l.leases.AddResource(ctx, of, resource(now.Layer.Digest)); err != nil {
		return err
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := layer.SetString(key, string(text), ""); err != nil {
		return err
	}
	if err := layer.SetString(sizeKey, "", ""); err != nil {
		return err
	}
	if before.Layer.Digest == "" || before.Layer.Digest == now.Layer.Digest || layer.GetString("cache.blob") == before.Layer.Digest.String() {
		return nil
	}
	return l.leases.DeleteResource(ctx, of, resource(before.Layer.Digest))
}

func resource(of digest.Digest) leases.Resource {
	return leases.Resource{ID: of.String(), Type: contentType}
}

const contentType = "content" // of what a lease holds

// pack writes a layer of the epoch into the content store. The same files give the same
// bytes.
func (l *layers) pack(ctx context.Context, ref string, epoch time.Time, mediaType string, compress compression.Compressor, write func(io.Writer) error) (desc ocispecs.Descriptor, err error) {
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-ctx.Done():
		return desc, context.Cause(ctx)
	}
	w, err := content.OpenWriter(ctx, l.store, content.WithRef(ref), content.WithDescriptor(ocispecs.Descriptor{MediaType: mediaType}))
	if err != nil {
		return desc, err
	}
	defer func() {
		_ = w.Close()
		if err != nil {
			_ = l.store.Abort(context.WithoutCancel(ctx), ref)
		}
	}()
	if err := w.Truncate(0); err != nil { // what a run that was killed had written
		return desc, err
	}
	buffered := bufio.NewWriterSize(w, 128<<10)
	compressed, err := compress(buffered, mediaType)
	if err != nil {
		return desc, err
	}
	diffID := digest.Canonical.Digester()
	err = write(io.MultiWriter(compressed, diffID.Hash()))
	if closed := compressed.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return desc, err
	}
	if err := buffered.Flush(); err != nil {
		return desc, err
	}
	desc = ocispecs.Descriptor{
		MediaType: mediaType,
		Digest:    w.Digest(),
		Annotations: map[string]string{
			labels.LabelUncompressed: diffID.Digest().String(),
			rewrittenAt:              strconv.FormatInt(epoch.Unix(), 10),
		},
	}
	status, err := w.Status()
	if err != nil {
		return desc, err
	}
	desc.Size = status.Offset
	known := maps.Clone(desc.Annotations)
	known[packedLabel] = "true"
	err = w.Commit(ctx, desc.Size, desc.Digest, content.WithLabels(known))
	if errdefs.IsAlreadyExists(err) {
		err = nil
	}
	return desc, err
}
