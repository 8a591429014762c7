package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// A Server is a registry over a folder, as the OCI distribution specification
// 1.1 has it, with all of its end points (pull, push in one piece and in chunks,
// mounts, tags, referrers, deletes), for a laptop, a test or a small cluster. It asks nobody who they are:
// whoever serves it decides who can reach it. What it holds outlives it. What was
// deleted goes from the disk when the folder is served the next time.
//
// See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md.
type Server struct {
	Dir string       // made if missing; one Server at a time
	Log *slog.Logger // nil discards
	// Space says how much room there is, for who is told that there is none. Nil
	// says nothing.
	Space func() string

	once  sync.Once
	store store
	mu    sync.Mutex
	busy  map[string]bool // uploads that a request writes to
}

var _ http.Handler = (*Server)(nil)

// staleUpload is the age at which an upload that nobody finished is removed.
const staleUpload = 24 * time.Hour

func (s *Server) init() {
	s.once.Do(func() {
		s.store = store{s.Dir}
		s.busy = map[string]bool{}
		if s.Log == nil {
			s.Log = slog.New(slog.DiscardHandler)
		}
		entries, err := os.ReadDir(filepath.Join(s.Dir, "uploads"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.Log.Warn("registry: uploads", "err", err)
		}
		for _, e := range entries {
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > staleUpload {
				os.Remove(s.store.upload(e.Name()))
			}
		}
		if n, err := s.store.sweep(); err != nil || n > 0 {
			s.Log.Info("registry: removed what no repository has", "blobs", n, "err", err)
		}
	})
}

// A refusal is an error of the specification.
type refusal struct {
	status int
	code   string
	text   string
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

func refuse(status int, code, format string, args ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

func nameUnknown(name string) error {
	return refuse(http.StatusNotFound, "NAME_UNKNOWN", "there is no repository %s", name)
}

func unsupported(r *http.Request) error {
	return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "no %s here", r.Method)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.init()
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	err := s.route(w, r)
	s.Log.DebugContext(r.Context(), "registry: request", "method", r.Method, "path", r.URL.Path, "err", err)
	if err == nil {
		return
	}
	said, ok := errors.AsType[*refusal](err)
	if !ok {
		s.Log.ErrorContext(r.Context(), "registry: request", "method", r.Method, "path", r.URL.Path, "err", err)
		said = s.broken(err, r.ContentLength)
	}
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, said.status, "application/json", map[string][]detail{"errors": {{said.code, said.text}}})
}

// broken says what is wrong with the folder. Who sends more has no better luck soon
// where it is full. Less than zero was sent where that is not known.
func (s *Server) broken(err error, sent int64) *refusal {
	if !errors.Is(err, syscall.ENOSPC) {
		return &refusal{http.StatusInternalServerError, "UNKNOWN", "the registry's folder: " + err.Error()}
	}
	text := "the registry's disk is full"
	if s.Space != nil {
		text += ": " + s.Space()
	}
	if sent > 0 {
		text += ", and " + buildkit.Bytes(sent) + " were sent"
	}
	return &refusal{http.StatusInsufficientStorage, "UNKNOWN", text}
}

// route finds what a path is about. Names may hold elements such as "blobs", so
// it is read from its end.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, "/v2")
	if !ok || path == "" || path == "/" {
		if !ok {
			return refuse(http.StatusNotFound, "UNSUPPORTED", "this is a registry, its paths begin with /v2/")
		}
		writeJSON(w, http.StatusOK, "application/json", struct{}{})
		return nil
	}
	path = strings.TrimPrefix(path, "/")
	if path == "_catalog" {
		return s.catalog(w, r)
	}
	for _, end := range []struct {
		kind   string
		answer func(http.ResponseWriter, *http.Request, string, string) error
	}{
		{"/blobs/uploads/", s.upload},
		{"/blobs/", s.blob},
		{"/manifests/", s.manifest},
		{"/referrers/", s.referrers},
		{"/tags/", s.tagList},
	} {
		i := strings.LastIndex(path, end.kind)
		if i < 0 && end.kind == "/blobs/uploads/" && strings.HasSuffix(path, "/blobs/uploads") {
			path, i = path+"/", len(path)-len("/blobs/uploads")
		}
		if i < 0 || strings.Contains(path[i+len(end.kind):], "/") {
			continue
		}
		name := path[:i]
		if !validName(name) {
			return refuse(http.StatusBadRequest, "NAME_INVALID", "%q is no name of a repository", name)
		}
		return end.answer(w, r, name, path[i+len(end.kind):])
	}
	return refuse(http.StatusNotFound, "UNSUPPORTED", "there is nothing at this path")
}

// tagList lists the tags of a repository.
func (s *Server) tagList(w http.ResponseWriter, r *http.Request, name, what string) error {
	if what != "list" || r.Method != http.MethodGet {
		return unsupported(r)
	}
	if !has(filepath.Join(s.store.repo(name), "_manifests")) {
		return nameUnknown(name)
	}
	tags, err := s.store.tags(name)
	if err != nil {
		return err
	}
	tags, err = page(w, r, tags)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"name": name, "tags": tags})
	return nil
}

// catalog lists the repositories.
func (s *Server) catalog(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return unsupported(r)
	}
	names, err := s.store.names()
	if err != nil {
		return err
	}
	names, err = page(w, r, names)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"repositories": names})
	return nil
}

// page returns the part of an ordered list that the request asks for, and says
// in a header where the rest is.
func page(w http.ResponseWriter, r *http.Request, all []string) ([]string, error) {
	q := r.URL.Query()
	if last := q.Get("last"); last != "" {
		for len(all) > 0 && all[0] <= last {
			all = all[1:]
		}
	}
	if q.Get("n") == "" {
		return all, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return nil, refuse(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n=%q is no number", q.Get("n"))
	}
	if n < len(all) {
		all = all[:n]
		if n > 0 {
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {all[n-1]}}
			w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, next.Encode()))
		}
	}
	return all, nil
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error is a client that is gone
}
