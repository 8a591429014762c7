package registry

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/buildkit"
)

// A link is what a repository keeps of a manifest: what an index of referrers
// says of it.
type link struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// manifest answers for a manifest by tag or digest.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request, name, ref string) error {
	isDigest := buildkit.IsDigest(ref)
	if !isDigest && !buildkit.IsTag(ref) {
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "%q is neither a tag nor a digest", ref)
	}
	if r.Method == http.MethodPut {
		return s.putManifest(w, r, name, ref)
	}
	digest := ref
	if !isDigest {
		data, err := os.ReadFile(s.store.tag(name, ref))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		digest = string(data)
	}
	var l link
	err := fs.ErrNotExist
	if digest != "" {
		err = readJSON(s.store.link(name, "_manifests", digest), &l)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if !has(filepath.Join(s.store.repo(name), "_manifests")) {
			return nameUnknown(name)
		}
		return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "%s has no manifest %s", name, ref)
	}
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return s.sendManifest(w, r, l)
	case http.MethodDelete:
		if err := s.deleteManifest(name, ref, digest); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return unsupported(r)
}

func (s *Server) sendManifest(w http.ResponseWriter, r *http.Request, l link) error {
	raw, err := os.ReadFile(s.store.blob(l.Digest))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", l.MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.Header().Set("Docker-Content-Digest", l.Digest)
	w.Header().Set("Etag", `"`+l.Digest+`"`)
	if r.Method == http.MethodGet {
		_, _ = w.Write(raw) // an error is a client that is gone
	}
	return nil
}

// putManifest stores a manifest whose every part is there.
func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, name, ref string) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, manifestLimit))
	if err != nil {
		return refuse(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "the manifest cannot be read: %v", err)
	}
	digest := digestOf(raw)
	if buildkit.IsDigest(ref) && ref != digest {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "the manifest is %s, not %s", digest, ref)
	}
	l, subject, err := s.readManifest(raw, r.Header.Get("Content-Type"), name)
	if err != nil {
		return err
	}
	if err := s.store.write(s.store.blob(digest), raw); err != nil {
		return err
	}
	if err := s.store.writeJSON(s.store.link(name, "_manifests", digest), l); err != nil {
		return err
	}
	if subject != "" {
		path := filepath.Join(s.store.link(name, "_referrers", subject), hexOf(digest))
		if err := s.store.writeJSON(path, l); err != nil {
			return err
		}
		w.Header().Set("OCI-Subject", subject)
	}
	if ref != digest {
		if err := s.store.write(s.store.tag(name, ref), []byte(digest)); err != nil {
			return err
		}
	}
	w.Header().Set("Location", "/v2/"+name+"/manifests/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// readManifest checks that the repository holds all that a manifest names. What
// it refers to as its subject may come later.
func (s *Server) readManifest(raw []byte, mediaType, name string) (l link, subject string, err error) {
	m, err := parseManifest(raw, mediaType)
	if err != nil {
		return link{}, "", refuse(http.StatusBadRequest, "MANIFEST_INVALID", "%v", err)
	}
	for _, d := range m.blobs() {
		if !has(s.store.link(name, "_blobs", d.Digest)) {
			return link{}, "", refuse(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "%s has no blob %s", name, d.Digest)
		}
	}
	for _, d := range m.Manifests {
		if !has(s.store.link(name, "_manifests", d.Digest)) {
			return link{}, "", refuse(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "%s has no manifest %s", name, d.Digest)
		}
	}
	var extra struct {
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
		Subject      *descriptor       `json:"subject"`
	}
	if err := json.Unmarshal(raw, &extra); err != nil {
		return link{}, "", refuse(http.StatusBadRequest, "MANIFEST_INVALID", "%v", err)
	}
	if extra.ArtifactType == "" && m.Config != nil {
		extra.ArtifactType = m.Config.MediaType
	}
	if extra.Subject != nil {
		if subject = extra.Subject.Digest; !buildkit.IsDigest(subject) {
			return link{}, "", refuse(http.StatusBadRequest, "MANIFEST_INVALID", "its subject is %q", subject)
		}
	}
	return link{m.MediaType, m.Digest, m.Size, extra.ArtifactType, extra.Annotations}, subject, nil
}

// deleteManifest removes a tag, or a manifest with all tags that stand for it.
func (s *Server) deleteManifest(name, ref, digest string) error {
	if ref != digest {
		return os.Remove(s.store.tag(name, ref))
	}
	tags, err := s.store.tags(name)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		if now, err := os.ReadFile(s.store.tag(name, tag)); err == nil && string(now) == digest {
			if err := os.Remove(s.store.tag(name, tag)); err != nil {
				return err
			}
		}
	}
	subjects, err := os.ReadDir(filepath.Join(s.store.repo(name), "_referrers"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	paths := []string{s.store.link(name, "_manifests", digest)}
	for _, subject := range subjects {
		paths = append(paths, filepath.Join(s.store.link(name, "_referrers", subject.Name()), hexOf(digest)))
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// referrers lists the manifests whose subject is a digest.
func (s *Server) referrers(w http.ResponseWriter, r *http.Request, name, digest string) error {
	if r.Method != http.MethodGet {
		return unsupported(r)
	}
	if !buildkit.IsDigest(digest) {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "%q is not like sha256:<64 hex digits>", digest)
	}
	dir := s.store.link(name, "_referrers", digest)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	wanted := r.URL.Query().Get("artifactType")
	list := []link{}
	for _, e := range entries {
		var l link
		if err := readJSON(filepath.Join(dir, e.Name()), &l); err != nil {
			return err
		}
		if wanted == "" || l.ArtifactType == wanted {
			list = append(list, l)
		}
	}
	if wanted != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeJSON(w, http.StatusOK, string(types.OCIImageIndex), map[string]any{
		"schemaVersion": 2,
		"mediaType":     types.OCIImageIndex,
		"manifests":     list,
	})
	return nil
}
