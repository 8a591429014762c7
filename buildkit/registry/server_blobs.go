package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// blob answers for a blob of a repository.
func (s *Server) blob(w http.ResponseWriter, r *http.Request, name, digest string) error {
	if !buildkit.IsDigest(digest) {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "%q is not like sha256:<64 hex digits>", digest)
	}
	link := s.store.link(name, "_blobs", digest)
	if !has(link) {
		return refuse(http.StatusNotFound, "BLOB_UNKNOWN", "%s has no blob %s", name, digest)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodDelete:
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	default:
		return unsupported(r)
	}
	f, err := os.Open(s.store.blob(digest))
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Etag", `"`+digest+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

var uploadPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z2-7]{26}$`) }) // as rand.Text has it

// upload answers for an upload: its beginning, its parts and its end.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, name, id string) error {
	if id == "" {
		if r.Method != http.MethodPost {
			return unsupported(r)
		}
		return s.beginUpload(w, r, name)
	}
	unknown := refuse(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no upload %s", id)
	if !uploadPattern().MatchString(id) {
		return unknown
	}
	if !s.take(id) {
		return refuse(http.StatusConflict, "BLOB_UPLOAD_INVALID", "another request writes to the upload %s", id)
	}
	defer s.release(id)
	fi, err := os.Stat(s.store.upload(id))
	if err != nil {
		return unknown
	}
	switch r.Method {
	case http.MethodGet:
		s.uploadHeader(w, name, id, fi.Size())
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPatch:
		s.uploadHeader(w, name, id, fi.Size()) // a part that does not follow is told where to go on
		size, err := s.appendUpload(r, id, fi.Size())
		if err != nil {
			return err
		}
		s.uploadHeader(w, name, id, size)
		w.WriteHeader(http.StatusAccepted)
		return nil
	case http.MethodPut:
		s.uploadHeader(w, name, id, fi.Size())
		if _, err := s.appendUpload(r, id, fi.Size()); err != nil {
			return err
		}
		w.Header().Del("Range")
		return s.finishUpload(w, name, id, r.URL.Query().Get("digest"))
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return os.Remove(s.store.upload(id))
	}
	return unsupported(r)
}

func (s *Server) take(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[id] {
		return false
	}
	s.busy[id] = true
	return true
}

func (s *Server) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, id)
}

// beginUpload starts an upload, or makes one needless: the blob lies in another
// repository that the request names, or comes along.
func (s *Server) beginUpload(w http.ResponseWriter, r *http.Request, name string) error {
	q := r.URL.Query()
	mount, from := q.Get("mount"), q.Get("from")
	if buildkit.IsDigest(mount) && s.mountable(from, mount) {
		return s.linkBlob(w, name, mount)
	}
	id := rand.Text()
	if err := os.MkdirAll(filepath.Dir(s.store.upload(id)), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(s.store.upload(id), nil, 0o644); err != nil {
		return err
	}
	if digest := q.Get("digest"); digest != "" {
		if _, err := s.appendUpload(r, id, 0); err != nil {
			os.Remove(s.store.upload(id))
			return err
		}
		return s.finishUpload(w, name, id, digest)
	}
	s.uploadHeader(w, name, id, 0)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// mountable reports whether a repository has a blob, or, if none is named, any.
// Everybody may read everything here.
//
// See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#mounting-a-blob-from-another-repository.
func (s *Server) mountable(from, digest string) bool {
	if from == "" {
		return has(s.store.blob(digest))
	}
	return validName(from) && has(s.store.link(from, "_blobs", digest))
}

func (s *Server) uploadHeader(w http.ResponseWriter, name, id string, size int64) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Docker-Upload-UUID", id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
}

// appendUpload appends the request's body to an upload. A body that ends before
// its time, or is not the next part, leaves the upload as it was.
//
// See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks.
func (s *Server) appendUpload(r *http.Request, id string, size int64) (int64, error) {
	if cr := r.Header.Get("Content-Range"); cr != "" {
		var start, end int64
		_, err := fmt.Sscanf(strings.TrimPrefix(cr, "bytes "), "%d-%d", &start, &end)
		if err != nil || start != size || r.ContentLength >= 0 && end-start+1 != r.ContentLength {
			return 0, refuse(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "the upload has %d bytes, the part is %q and has %d", size, cr, r.ContentLength)
		}
	}
	f, err := os.OpenFile(s.store.upload(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(f, r.Body)
	if err == nil {
		err = f.Sync() // some disks say only now that they are full
	}
	if err != nil {
		if err := f.Truncate(size); err != nil {
			return 0, err
		}
		if ours, ok := errors.AsType[*fs.PathError](err); ok {
			return 0, ours
		}
		return 0, refuse(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "the body ended after %d bytes", n)
	}
	return size + n, nil
}

// finishUpload makes a blob of an upload, if it is what its digest says.
func (s *Server) finishUpload(w http.ResponseWriter, name, id, digest string) error {
	if !buildkit.IsDigest(digest) {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "%q is not like sha256:<64 hex digits>", digest)
	}
	got, err := digestOfFile(s.store.upload(id))
	if err != nil {
		return err
	}
	if got != digest {
		os.Remove(s.store.upload(id))
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "the upload is %s, not %s", got, digest)
	}
	if has(s.store.blob(digest)) {
		if err := os.Remove(s.store.upload(id)); err != nil {
			return err
		}
	} else if err := s.store.rename(s.store.upload(id), s.store.blob(digest)); err != nil {
		return err
	}
	return s.linkBlob(w, name, digest)
}

func (s *Server) linkBlob(w http.ResponseWriter, name, digest string) error {
	if err := s.store.write(s.store.link(name, "_blobs", digest), nil); err != nil {
		return err
	}
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func digestOfFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
