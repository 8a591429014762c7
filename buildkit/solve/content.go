package solve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/images"
	cerrdefs "github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// storeName is what a session calls the builder's own content store, when it
// offers it back to the builder as a source of images.
const storeName = "slipway"

// maxManifest is more than any manifest or index has.
const maxManifest = 16 << 20

// Open returns the blob with the digest: a manifest, a config, a layer. It wraps
// buildkit.ErrNotFound if the builder does not have it.
func (b *Builder) Open(ctx context.Context, blob string) (io.ReadCloser, error) {
	store, err := b.store(ctx)
	if err != nil {
		return nil, err
	}
	ra, err := store.ReaderAt(ctx, ocispecs.Descriptor{Digest: digest.Digest(blob)})
	if cerrdefs.IsNotFound(err) {
		return nil, fmt.Errorf("%s in the builder: %w", blob, buildkit.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s in the builder: %w", blob, err)
	}
	// Every ReadAt is a call: read much at once.
	return &blobReader{bufio.NewReaderSize(io.NewSectionReader(ra, 0, ra.Size()), 1<<20), ra}, nil
}

type blobReader struct {
	io.Reader
	io.Closer
}

// Has reports whether the builder holds an image with all that it names, so that
// it can be run, built upon, or pushed.
func (b *Builder) Has(ctx context.Context, image string) (bool, error) {
	store, err := b.store(ctx)
	if err != nil {
		return false, err
	}
	whole, err := hasAll(ctx, store, ocispecs.Descriptor{Digest: digest.Digest(image)})
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return whole, err
}

func hasAll(ctx context.Context, store content.Store, desc ocispecs.Descriptor) (bool, error) {
	if desc.MediaType != "" && !images.IsManifestType(desc.MediaType) && !images.IsIndexType(desc.MediaType) {
		_, err := store.Info(ctx, desc.Digest)
		if cerrdefs.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	text, err := readManifest(ctx, store, desc)
	if cerrdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A manifest has config and layers, an index has manifests.
	var names struct {
		Config    *ocispecs.Descriptor
		Layers    []ocispecs.Descriptor
		Manifests []ocispecs.Descriptor
	}
	if err := json.Unmarshal(text, &names); err != nil {
		return false, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	children := append(names.Layers, names.Manifests...)
	if names.Config != nil {
		children = append(children, *names.Config)
	}
	for _, child := range children {
		if whole, err := hasAll(ctx, store, child); err != nil || !whole {
			return false, err
		}
	}
	return true, nil
}

func readManifest(ctx context.Context, store content.Store, desc ocispecs.Descriptor) ([]byte, error) {
	ra, err := store.ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	if ra.Size() > maxManifest {
		return nil, fmt.Errorf("manifest %s has %d bytes", desc.Digest, ra.Size())
	}
	return io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
}

// A location is where an image can be had.
type location struct {
	ref      string // pins the image
	registry bool   // in a registry; otherwise in the builder's own store
}

// locate prefers the builder: nothing is fetched that is there.
func (b *Builder) locate(ctx context.Context, img buildkit.Image) (location, error) {
	if img.Digest == "" {
		return location{}, fmt.Errorf("image without a digest: %w", buildkit.ErrNotFound)
	}
	here, err := b.Has(ctx, img.Digest)
	switch {
	case err != nil:
		return location{}, err
	case here:
		return location{ref: storeName + "@" + img.Digest}, nil
	case img.Repository != "":
		return location{ref: img.Repository + "@" + img.Digest, registry: true}, nil
	}
	if b.others != nil {
		if whole, err := hasAll(ctx, b.others.fleet.contents(), ocispecs.Descriptor{Digest: digest.Digest(img.Digest)}); err != nil || whole {
			return location{ref: storeName + "@" + img.Digest}, err
		}
	}
	return location{}, fmt.Errorf("image %s is not in the builder any more and was not pushed (build it again): %w",
		buildkit.Short(img.Digest), buildkit.ErrNotFound)
}

// store is the builder's content store, read over the connection.
func (b *Builder) store(ctx context.Context) (content.Store, error) {
	c, err := b.client(ctx)
	if err != nil {
		return nil, err
	}
	return proxy.NewContentStore(c.ContentClient()), nil
}

// stores offers the builder's content store to a session, or that of all
// builders of a fleet.
func (b *Builder) stores(ctx context.Context) (map[string]content.Store, error) {
	if b.others != nil {
		return map[string]content.Store{storeName: b.others}, nil
	}
	store, err := b.store(ctx)
	return map[string]content.Store{storeName: store}, err
}

func descriptorOf(blob string) ocispecs.Descriptor {
	return ocispecs.Descriptor{Digest: digest.Digest(blob)}
}

func formatPlatform(p ocispecs.Platform) string { return platforms.FormatAll(platforms.Normalize(p)) }

// sourceLabel is how containerd notes where a blob came from.
const sourceLabel = "containerd.io/distribution.source."

// Origins returns the repositories from which the builder pulled a blob.
func (b *Builder) Origins(ctx context.Context, blob string) []string {
	store, err := b.store(ctx)
	if err != nil {
		return nil
	}
	info, err := store.Info(ctx, digest.Digest(blob))
	if err != nil {
		return nil
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(info.Labels)) {
		host, ok := strings.CutPrefix(name, sourceLabel)
		if !ok {
			continue
		}
		for _, repository := range strings.Split(info.Labels[name], ",") {
			all = append(all, host+"/"+repository)
		}
	}
	return all
}
