package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/slipway-ci/slipway/buildkit"
)

// What lies beside an image refers to it by digest, and changes neither it nor
// its digest.
//
// See https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers.

// Statements is a [Content] that knows what was said about an image when it was
// built. What it returns lies in the Content.
type Statements interface {
	Statements(image string) []buildkit.Statement
}

// buildType is the artifact that notes when an image was built.
const buildType = "application/vnd.slipway.build.v1"

// Annotations of our own artifacts.
const (
	createdKey = "org.opencontainers.image.created"
	inputsKey  = "dev.slipway.inputs"
	predicate  = "in-toto.io/predicate-type"
	platformOf = "dev.slipway.platform"
)

// emptyConfig is the config of an artifact that has none.
//
// See https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor.
var emptyConfig = []byte("{}")

// An artifact is a manifest that refers to an image.
type artifact struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []annotated       `json:"layers"`
	Subject       *descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// An annotated descriptor, as lists of referrers have it.
type annotated struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// An index of referrers.
type referrerIndex struct {
	SchemaVersion int         `json:"schemaVersion"`
	MediaType     string      `json:"mediaType"`
	Manifests     []annotated `json:"manifests"`
}

// attach brings the statements about a built image up beside it, one artifact for
// each.
func (t *transfer) attach(ctx context.Context, image descriptor) error {
	said, ok := t.client.Content.(Statements)
	if !ok {
		return nil
	}
	for _, s := range said.Statements(image.Digest) {
		layer := annotated{MediaType: s.MediaType, Digest: s.Digest, Size: s.Size, Annotations: map[string]string{predicate: s.Predicate}}
		about := map[string]string{predicate: s.Predicate}
		if s.Platform != "" {
			about[platformOf] = s.Platform
		}
		if err := t.ensure(ctx, descriptor{MediaType: s.MediaType, Digest: s.Digest, Size: s.Size}); err != nil {
			return err
		}
		if err := t.refer(ctx, image, s.MediaType, layer, about); err != nil {
			return err
		}
	}
	return nil
}

// refer puts an artifact of one layer, which is there, beside an image. A zero
// layer stands for the empty one.
func (t *transfer) refer(ctx context.Context, image descriptor, kind string, layer annotated, about map[string]string) error {
	empty := descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: digestOf(emptyConfig), Size: int64(len(emptyConfig))}
	small := &transfer{client: t.client, repo: t.repo, from: inMemory{empty.Digest: emptyConfig}}
	if err := small.ensure(ctx, empty); err != nil {
		return err
	}
	if layer.Digest == "" {
		layer = annotated{MediaType: empty.MediaType, Digest: empty.Digest, Size: empty.Size}
	}
	raw, err := json.Marshal(artifact{
		SchemaVersion: 2, MediaType: string(types.OCIManifestSchema1), ArtifactType: kind,
		Config: empty, Layers: []annotated{layer}, Subject: &image, Annotations: about,
	})
	if err != nil {
		return err
	}
	m, err := parseManifest(raw, "")
	if err != nil {
		return err
	}
	return t.client.putReferrer(ctx, t.repo, m, image.Digest)
}

// putReferrer stores a manifest that refers to another. Of a registry that keeps
// no list of referrers, we keep it, under a tag that the specification names.
func (c *Client) putReferrer(ctx context.Context, repo repository, m *manifest, subject string) error {
	if err := c.putManifest(ctx, repo, m, m.Digest); err != nil {
		return err
	}
	known, native, err := c.referrers(ctx, repo, subject)
	if err != nil || native {
		return err
	}
	for _, d := range known {
		if d.Digest == m.Digest {
			return nil
		}
	}
	var own artifact
	if err := json.Unmarshal(m.raw, &own); err != nil {
		return err
	}
	known = append(known, annotated{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, ArtifactType: own.ArtifactType, Annotations: own.Annotations})
	raw, err := json.Marshal(referrerIndex{SchemaVersion: 2, MediaType: string(types.OCIImageIndex), Manifests: known})
	if err != nil {
		return err
	}
	index, err := parseManifest(raw, "")
	if err != nil {
		return err
	}
	return c.putManifest(ctx, repo, index, fallbackTag(subject))
}

// fallbackTag is where referrers are listed in a registry that keeps no list.
func fallbackTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// referrers lists what refers to a digest, and says whether the registry keeps
// the list by itself.
func (c *Client) referrers(ctx context.Context, repo repository, digest string) (found []annotated, native bool, err error) {
	err = c.retry(ctx, func() error {
		client, err := c.session(ctx, repo, transport.PullScope)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, repo.url("referrers", digest).String(), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", string(types.OCIImageIndex))
		resp, err := c.do(client, req, http.StatusOK)
		if errors.Is(err, buildkit.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		raw, err := readLimited(resp.Body)
		if err != nil {
			return &netError{err}
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), string(types.OCIImageIndex)) {
			return nil // a page that some proxy shows
		}
		native = true
		found, err = parseReferrers(raw)
		return err
	})
	if err != nil || native {
		return found, native, err
	}
	m, err := c.getManifest(ctx, repo, fallbackTag(digest))
	if errors.Is(err, buildkit.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	found, err = parseReferrers(m.raw)
	return found, false, err
}

func parseReferrers(raw []byte) ([]annotated, error) {
	var index referrerIndex
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("list of referrers: %w", err)
	}
	for _, d := range index.Manifests {
		if !buildkit.IsDigest(d.Digest) {
			return nil, fmt.Errorf("list of referrers names %q", harmless(d.Digest))
		}
	}
	return index.Manifests, nil
}

// maxReferrers bounds what comes along with an image: referrers may have
// referrers, and a registry may list anything.
const maxReferrers = 256

// follow copies what refers to the image from the repository that it comes from,
// and what refers to that.
func (t *transfer) follow(ctx context.Context, from repository, image string) error {
	seen := map[string]bool{image: true}
	for next := []string{image}; len(next) > 0; next = next[1:] {
		found, _, err := t.client.referrers(ctx, from, next[0])
		if err != nil {
			return err
		}
		for _, d := range found {
			if seen[d.Digest] {
				continue
			}
			if seen[d.Digest] = true; len(seen) > maxReferrers {
				return fmt.Errorf("more than %d manifests refer to %s", maxReferrers, image)
			}
			if err := t.blobsOf(ctx, descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}, next[0]); err != nil {
				return err
			}
			next = append(next, d.Digest)
		}
	}
	return nil
}

// blobsOf brings one referrer up, after all that it names.
func (t *transfer) blobsOf(ctx context.Context, d descriptor, subject string) error {
	if _, err := t.client.headManifest(ctx, t.repo, d.Digest, transport.PushScope); err == nil {
		return nil // and it is listed: that comes with it, or was done by who brought it
	} else if !errors.Is(err, buildkit.ErrNotFound) {
		return err
	}
	m, err := t.from.manifest(ctx, d)
	if err != nil {
		return err
	}
	for _, blob := range m.blobs() {
		if err := t.ensure(ctx, blob); err != nil {
			return err
		}
	}
	for _, child := range m.Manifests {
		if err := t.manifest(ctx, child); err != nil {
			return err
		}
	}
	return t.client.putReferrer(ctx, t.repo, m, subject)
}

// Date notes beside an image in its repository that it was built now, for the key.
func (c *Client) Date(ctx context.Context, img buildkit.Image, key string) error {
	repo, err := c.repository(img.Repository)
	if err != nil {
		return err
	}
	root, err := c.headManifest(ctx, repo, img.Digest, transport.PushScope)
	if err != nil {
		return c.fault(ctx, repo, img.Ref(), err)
	}
	t := &transfer{client: c, from: built{c.Content}, repo: repo}
	about := map[string]string{createdKey: time.Now().UTC().Format(time.RFC3339), inputsKey: key}
	return c.fault(ctx, repo, img.Ref(), t.refer(ctx, root, buildType, annotated{}, about))
}

// Built returns when an image was last built for the key, as [Client.Date] has
// noted it; the zero time if that is not known.
func (c *Client) Built(ctx context.Context, img buildkit.Image, key string) (time.Time, error) {
	repo, err := c.repository(img.Repository)
	if err != nil {
		return time.Time{}, err
	}
	found, _, err := c.referrers(ctx, repo, img.Digest)
	if err != nil {
		return time.Time{}, c.fault(ctx, repo, img.Ref(), err)
	}
	var last time.Time
	for _, d := range found {
		if d.ArtifactType != buildType || d.Annotations[inputsKey] != key {
			continue
		}
		if when, err := time.Parse(time.RFC3339, d.Annotations[createdKey]); err == nil && when.After(last) {
			last = when
		}
	}
	return last, nil
}

// inMemory is a source of small blobs, by digest.
type inMemory map[string][]byte

func (m inMemory) manifest(context.Context, descriptor) (*manifest, error) {
	return nil, buildkit.ErrNotFound
}

func (m inMemory) blob(_ context.Context, d descriptor) (io.ReadCloser, error) {
	text, ok := m[d.Digest]
	if !ok {
		return nil, buildkit.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}
