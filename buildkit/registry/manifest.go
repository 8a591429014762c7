package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/buildkit"
)

// errDigest reports content that is not what its digest says.
var errDigest = errors.New("the content is not what its digest says")

// manifestLimit is more than registries take.
const manifestLimit = 16 << 20

// accepted are the manifests that we understand.
var accepted = strings.Join([]string{
	string(types.OCIImageIndex), string(types.OCIManifestSchema1),
	string(types.DockerManifestList), string(types.DockerManifestSchema2),
}, ", ")

// A descriptor names content.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls,omitempty"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant,omitempty"`
	} `json:"platform,omitempty"`
}

// platform returns the platform as text, empty if there is none, and whether
// the content runs at all: an attestation does not.
func (d descriptor) platform() (platform string, runs bool) {
	p := d.Platform
	if p == nil {
		return "", true
	}
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/"), p.OS != "unknown"
}

// A manifest is a manifest or index as it lies in a store.
type manifest struct {
	descriptor
	raw       []byte
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

// parseManifest reads a manifest or index. The media type is what a registry
// said it is; empty means that its own field must say.
func parseManifest(raw []byte, mediaType string) (*manifest, error) {
	m := &manifest{raw: raw}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if mediaType != "" && mediaType != "application/json" && !strings.HasPrefix(mediaType, "text/") {
		m.MediaType = mediaType
	}
	m.Digest, m.Size = digestOf(raw), int64(len(raw))
	switch t := types.MediaType(m.MediaType); {
	case t.IsIndex() || (t == "" && m.Manifests != nil):
		m.Config, m.Layers = nil, nil
		m.MediaType = orElse(m.MediaType, string(types.OCIImageIndex))
	case (t.IsImage() || t == "") && m.Config != nil:
		m.Manifests = nil
		m.MediaType = orElse(m.MediaType, string(types.OCIManifestSchema1))
	default:
		return nil, fmt.Errorf("manifest %s is of type %q, which is neither an image nor an index", m.Digest, harmless(m.MediaType))
	}
	for _, d := range append(m.blobs(), m.Manifests...) {
		if !buildkit.IsDigest(d.Digest) || d.Size < 0 {
			return nil, fmt.Errorf("manifest %s names %q of size %d", m.Digest, harmless(d.Digest), d.Size)
		}
	}
	return m, nil
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// blobs returns the config and the layers that lie in a registry; some are
// fetched from elsewhere and are never pushed.
func (m *manifest) blobs() []descriptor {
	var all []descriptor
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	for _, d := range m.Layers {
		if types.MediaType(d.MediaType).IsDistributable() || len(d.URLs) == 0 {
			all = append(all, d)
		}
	}
	return all
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// headManifest returns what a tag or digest stands for without its content. A
// registry that does not say is asked by GET.
func (c *Client) headManifest(ctx context.Context, repo repository, ref, scope string) (d descriptor, err error) {
	err = c.retry(ctx, func() error {
		answered, err := c.question(ctx)
		if err != nil {
			return err
		}
		defer answered()
		client, err := c.session(ctx, repo, scope)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, repo.url("manifests", ref).String(), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", accepted)
		resp, err := c.do(client, req, http.StatusOK)
		if a, ok := errors.AsType[*answer](err); ok && a.status != http.StatusNotFound && !buildkit.Busy(a.status) {
			m, err := c.getOnce(ctx, repo, ref, scope) // a HEAD has no body to say why
			if err == nil {
				d = m.descriptor
			}
			return err
		}
		if err != nil {
			return err
		}
		discard(resp)
		d = descriptor{Digest: resp.Header.Get("Docker-Content-Digest"), MediaType: resp.Header.Get("Content-Type"), Size: resp.ContentLength}
		if !buildkit.IsDigest(d.Digest) || d.Size <= 0 || d.MediaType == "" {
			m, err := c.getOnce(ctx, repo, ref, scope)
			if err == nil {
				d = m.descriptor
			}
			return err
		}
		if buildkit.IsDigest(ref) && ref != d.Digest {
			return fmt.Errorf("%w: got %s", errDigest, d.Digest)
		}
		return nil
	})
	return d, err
}

// getManifest returns a manifest or index whose digest is verified.
func (c *Client) getManifest(ctx context.Context, repo repository, ref string) (m *manifest, err error) {
	err = c.retry(ctx, func() (err error) {
		m, err = c.getOnce(ctx, repo, ref, transport.PullScope)
		return err
	})
	return m, err
}

func (c *Client) getOnce(ctx context.Context, repo repository, ref, scope string) (*manifest, error) {
	client, err := c.session(ctx, repo, scope)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, repo.url("manifests", ref).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accepted)
	resp, err := c.do(client, req, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := readLimited(resp.Body)
	if err != nil {
		return nil, &netError{err}
	}
	digest := digestOf(raw)
	for _, want := range []string{ref, resp.Header.Get("Docker-Content-Digest")} {
		if buildkit.IsDigest(want) && want != digest {
			return nil, fmt.Errorf("%w: %s came as %s", errDigest, want, digest)
		}
	}
	return parseManifest(raw, resp.Header.Get("Content-Type"))
}

func readLimited(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, manifestLimit+1))
	if err == nil && len(raw) > manifestLimit {
		err = fmt.Errorf("a manifest of more than %d MiB", manifestLimit>>20)
	}
	return raw, err
}

// putManifest stores a manifest under a tag or its digest.
func (c *Client) putManifest(ctx context.Context, repo repository, m *manifest, ref string) error {
	return c.retry(ctx, func() error {
		client, err := c.session(ctx, repo, transport.PushScope)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, repo.url("manifests", ref).String(), bytes.NewReader(m.raw))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", m.MediaType)
		resp, err := c.do(client, req, http.StatusCreated, http.StatusOK, http.StatusAccepted)
		if err != nil {
			return err
		}
		discard(resp)
		if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != m.Digest {
			return fmt.Errorf("%w: %s was stored as %s", errDigest, m.Digest, harmless(got))
		}
		return nil
	})
}
