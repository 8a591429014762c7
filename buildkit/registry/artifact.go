package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/slipway-ci/slipway/buildkit"
)

// artifactLimit is how large the content of an artifact may be.
const artifactLimit = 64 << 20

// emptyType is the media type of "{}", the config of what needs none.
const emptyType = "application/vnd.oci.empty.v1+json"

// An artifactManifest is an image manifest without an image.
//
// See https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage.
type artifactManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// bytesContent holds content in memory, by digest.
type bytesContent map[string][]byte

// Open implements [Content].
func (b bytesContent) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	data, ok := b[digest]
	if !ok {
		return nil, fmt.Errorf("no content %s", digest)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b bytesContent) put(mediaType string, data []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digestOf(data), Size: int64(len(data))}
	b[d.Digest] = data
	return d
}

// PushArtifact stores one file in a repository, as an OCI artifact of a type,
// and lets tags stand for it. What goes wrong is as of [Client.Push].
func (c *Client) PushArtifact(ctx context.Context, repository string, tags []string, artifactType string, data []byte, annotations map[string]string) (buildkit.Image, error) {
	if len(data) > artifactLimit {
		return buildkit.Image{}, fmt.Errorf("it has %d bytes (want at most %d)", len(data), artifactLimit)
	}
	content := bytesContent{}
	m := artifactManifest{
		SchemaVersion: 2, MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: artifactType,
		Config: content.put(emptyType, []byte("{}")), Layers: []descriptor{content.put(artifactType, data)}, Annotations: annotations,
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return buildkit.Image{}, err
	}
	root := content.put(m.MediaType, raw)
	img := buildkit.Image{Digest: root.Digest, MediaType: root.MediaType, Size: root.Size}
	return c.bring(ctx, img, built{content}, nil, repository, tags, nil)
}

// Artifact returns the file that an OCI artifact of a type holds, verified. Its
// error wraps [buildkit.ErrNotFound] if there is nothing of that name; something
// that is no such artifact is an error, too.
func (c *Client) Artifact(ctx context.Context, ref, artifactType string) ([]byte, error) {
	text, tag, digest, err := splitRef(ref)
	if err != nil {
		return nil, err
	}
	repo, err := c.repository(text)
	if err != nil {
		return nil, err
	}
	found, err := c.getManifest(ctx, repo, cmp.Or(digest, tag, "latest"))
	if err != nil {
		return nil, c.fault(ctx, repo, ref, err)
	}
	var m artifactManifest
	if err := json.Unmarshal(found.raw, &m); err != nil {
		return nil, c.fault(ctx, repo, ref, err)
	}
	if m.ArtifactType != artifactType || len(m.Layers) != 1 {
		return nil, fmt.Errorf("%s is of the type %q (want %s)", ref, harmless(cmp.Or(m.ArtifactType, found.MediaType)), artifactType)
	}
	if m.Layers[0].Size > artifactLimit {
		return nil, fmt.Errorf("%s has %d bytes (want at most %d)", ref, m.Layers[0].Size, artifactLimit)
	}
	blob, err := pushed{c, repo}.blob(ctx, m.Layers[0])
	if err != nil {
		return nil, c.fault(ctx, repo, ref, err)
	}
	defer blob.Close()
	data, err := io.ReadAll(blob)
	return data, c.fault(ctx, repo, ref, err)
}
