package registry

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	"github.com/slipway-ci/slipway/buildkit"
)

// Archive writes an image as a tar: an OCI layout with the image's name where
// containerd and kind look for it, and, unless it is of several platforms, what
// docker load looks for, too. Equal images of one name are equal archives.
//
// See https://github.com/opencontainers/image-spec/blob/main/image-layout.md.
func (c *Client) Archive(ctx context.Context, img buildkit.Image, name string, w io.Writer) error {
	c.init()
	var from source = built{c.Content}
	if img.Repository != "" {
		repo, err := c.repository(img.Repository)
		if err != nil {
			return err
		}
		from = pushed{c, repo}
	}
	a := &archive{ctx: ctx, from: from, tar: tar.NewWriter(w), seen: map[string]bool{}}
	root, err := from.manifest(ctx, descriptor{Digest: img.Digest, MediaType: img.MediaType})
	if err != nil {
		return err
	}
	if err := a.manifest(root); err != nil {
		return err
	}
	if err := a.json("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}); err != nil {
		return err
	}
	_, tag := splitTag(name)
	index := referrerIndex{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []annotated{{
		MediaType: root.MediaType, Digest: root.Digest, Size: root.Size,
		Annotations: map[string]string{"io.containerd.image.name": fullName(name), "org.opencontainers.image.ref.name": tag},
	}}}
	if err := a.json("index.json", index); err != nil {
		return err
	}
	if root.Config != nil {
		one := dockerEntry{Config: blobPath(root.Config.Digest), RepoTags: []string{name}}
		for _, l := range root.Layers {
			one.Layers = append(one.Layers, blobPath(l.Digest))
		}
		if err := a.json("manifest.json", []dockerEntry{one}); err != nil {
			return err
		}
	}
	return a.tar.Close()
}

// A dockerEntry is what docker load reads of an image.
//
// See https://github.com/moby/docker-image-spec/blob/main/v1.2.md.
type dockerEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// An archive is one that is written.
type archive struct {
	ctx  context.Context //nolint:containedctx // it lives no longer than the call
	from source
	tar  *tar.Writer
	seen map[string]bool
}

func (a *archive) manifest(m *manifest) error {
	if a.seen[m.Digest] {
		return nil
	}
	a.seen[m.Digest] = true
	for _, d := range m.Manifests {
		child, err := a.from.manifest(a.ctx, d)
		if err != nil {
			return err
		}
		if err := a.manifest(child); err != nil {
			return err
		}
	}
	for _, d := range m.blobs() {
		if err := a.blob(d); err != nil {
			return err
		}
	}
	return a.file(blobPath(m.Digest), m.raw)
}

func (a *archive) blob(d descriptor) error {
	if a.seen[d.Digest] {
		return nil
	}
	a.seen[d.Digest] = true
	r, err := a.from.blob(a.ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := a.tar.WriteHeader(&tar.Header{Name: blobPath(d.Digest), Mode: 0o644, Size: d.Size, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	if _, err = io.Copy(a.tar, r); errors.Is(err, tar.ErrWriteTooLong) {
		err = fmt.Errorf("%w: %s", errDigest, d.Digest)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("a blob of %s: %w", buildkit.Bytes(d.Size), err)
	}
	return err
}

func (a *archive) json(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.file(name, text)
}

func (a *archive) file(name string, text []byte) error {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := a.tar.Write(text)
	return err
}

func blobPath(digest string) string {
	return path.Join("blobs", strings.Replace(digest, ":", "/", 1))
}

// splitTag splits a name with a tag; without one, the tag is latest.
func splitTag(name string) (repository, tag string) {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, "latest"
}

// fullName is a name as containerd has it: with its registry.
func fullName(name string) string {
	if buildkit.Host(name) != "docker.io" || strings.HasPrefix(name, "docker.io/") {
		return name
	}
	if !strings.Contains(name, "/") {
		name = "library/" + name
	}
	return "docker.io/" + name
}
