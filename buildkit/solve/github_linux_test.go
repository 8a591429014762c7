package solve_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// A github plays the cache service of GitHub, in both versions of its protocol,
// with the storage beside it that hands out and takes blobs by signed URL.
//
// See https://github.com/actions/toolkit/tree/main/packages/cache.
type github struct {
	*httptest.Server
	token string
	// wrong answers a request in place of the service, if it returns true. What is
	// asked is the last word of an address, or PUT or GET of a blob.
	wrong func(w http.ResponseWriter, asked string) bool

	mu      sync.Mutex
	keys    map[string]string // of an entry: its blob
	pending map[string]string // by id of a reservation: the key
	blobs   map[string][]byte
	parts   map[string][]byte // of blobs that are not committed
	asked   []string
}

// signature is what lets whoever has it read and write a blob.
const signature = "sig=let-me-in"

// newGitHub plays a service that lets in one token, which may write to one scope.
func newGitHub(t *testing.T) *github {
	t.Helper()
	g := &github{keys: map[string]string{}, pending: map[string]string{}, blobs: map[string][]byte{}, parts: map[string][]byte{}}
	claims := fmt.Sprintf(`{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":3}]","nbf":%d,"exp":%d}`, time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix())
	word := base64.RawURLEncoding.EncodeToString
	g.token = word([]byte(`{"alg":"none"}`)) + "." + word([]byte(claims)) + "." + word([]byte("let-me-in"))
	mux := http.NewServeMux()
	const v1, v2 = "/_apis/artifactcache/", "/twirp/github.actions.results.api.v1.CacheService/"
	mux.HandleFunc("GET "+v1+"cache", g.lookup)
	mux.HandleFunc("POST "+v1+"caches", g.reserve)
	mux.HandleFunc("PATCH "+v1+"caches/{id}", g.patch)
	mux.HandleFunc("POST "+v1+"caches/{id}", g.commit)
	mux.HandleFunc("POST "+v2+"GetCacheEntryDownloadURL", g.lookup)
	mux.HandleFunc("POST "+v2+"CreateCacheEntry", g.reserve)
	mux.HandleFunc("POST "+v2+"FinalizeCacheEntryUpload", g.commit)
	mux.HandleFunc("PUT /blobs/{id}", g.store)
	mux.HandleFunc("GET /blobs/{id}", g.serve)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		blob := strings.HasPrefix(r.URL.Path, "/blobs/")
		if blob {
			asked = r.Method + " blob"
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked = append(g.asked, asked)
		if blob && !strings.Contains(r.URL.RawQuery, signature) || !blob && r.Header.Get("Authorization") != "Bearer "+g.token {
			t.Errorf("%s %s without a right to it", r.Method, r.URL)
		}
		if blob && r.Header.Get("Authorization") != "" {
			t.Errorf("the token goes to storage: %s %s", r.Method, r.URL)
		}
		if g.wrong == nil || !g.wrong(w, asked) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func isV2(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/twirp/") }

func (g *github) signed(id string) string {
	return g.URL + "/blobs/" + id + "?se=tomorrow&" + signature
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// lookup finds the newest entry whose key begins with what is wanted.
func (g *github) lookup(w http.ResponseWriter, r *http.Request) {
	var want []string
	if isV2(r) {
		var in struct {
			Key         string   `json:"key"`
			RestoreKeys []string `json:"restore_keys"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		want = append([]string{in.Key}, in.RestoreKeys...)
	} else {
		want = strings.Split(r.FormValue("keys"), ",")
	}
	best, newest := "", -1
	for key := range g.keys {
		if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(key, w) }) {
			continue
		}
		_, after, _ := strings.Cut(key, "#")
		if n, _ := strconv.Atoi(after); n > newest {
			best, newest = key, n
		}
	}
	switch {
	case isV2(r):
		answer(w, map[string]any{"ok": best != "", "matched_key": best, "signed_download_url": g.signed(g.keys[best])})
	case best == "":
		w.WriteHeader(http.StatusNoContent)
	default:
		answer(w, map[string]any{"cacheKey": best, "scope": "refs/heads/main", "archiveLocation": g.signed(g.keys[best])})
	}
}

func (g *github) reserve(w http.ResponseWriter, r *http.Request) {
	var in struct{ Key string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	if _, ok := g.keys[in.Key]; ok {
		w.WriteHeader(http.StatusConflict)
		answer(w, map[string]any{"code": "already_exists", "message": "cache entry already exists", "typeKey": "ArtifactCacheItemAlreadyExistsException"})
		return
	}
	id := len(g.pending) + 1
	g.pending[strconv.Itoa(id)] = in.Key
	if isV2(r) {
		answer(w, map[string]any{"ok": true, "signed_upload_url": g.signed(strconv.Itoa(id))})
		return
	}
	answer(w, map[string]any{"cacheId": id})
}

// patch takes a chunk, as version 1 sends them.
func (g *github) patch(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "bytes %d-%d/*", &from, &to); err != nil || from != len(g.blobs[id]) {
		http.Error(w, `{"message":"no range"}`, http.StatusBadRequest)
		return
	}
	data, _ := io.ReadAll(r.Body)
	g.blobs[id] = append(g.blobs[id], data...)
}

func (g *github) commit(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var in struct {
		Key  string `json:"key"`
		Size int    `json:"size"`
		Also int    `json:"size_bytes"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	if isV2(r) {
		for n, key := range g.pending {
			if key == in.Key {
				id, in.Size = n, in.Also
			}
		}
	}
	if len(g.blobs[id]) != in.Size {
		http.Error(w, `{"message":"another size"}`, http.StatusBadRequest)
		return
	}
	g.keys[g.pending[id]] = id
	answer(w, map[string]any{"ok": true, "entry_id": id})
}

// store takes a blob as Azure does: whole, or in blocks and then their list.
func (g *github) store(w http.ResponseWriter, r *http.Request) {
	id, data := r.PathValue("id"), []byte(nil)
	data, _ = io.ReadAll(r.Body)
	switch r.FormValue("comp") {
	case "block":
		g.parts[id] = append(g.parts[id], data...)
	case "blocklist":
		g.blobs[id] = g.parts[id]
	default:
		g.blobs[id] = data
	}
	w.Header().Set("X-Ms-Request-Id", "1")
	w.WriteHeader(http.StatusCreated)
}

func (g *github) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Range") == "" {
		r.Header.Set("Range", r.Header.Get("X-Ms-Range"))
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(g.blobs[r.PathValue("id")])))
}

// environ is what the runner tells actions, of the version.
func (g *github) environ(version int) func(string) (string, bool) {
	env := map[string]string{"ACTIONS_RUNTIME_TOKEN": g.token, "ACTIONS_CACHE_URL": g.URL + "/", "ACTIONS_RESULTS_URL": g.URL + "/", "ACTIONS_CACHE_SERVICE_V2": "true"}
	if version == 1 { // a GitHub Enterprise Server: results it has, but not for caches
		delete(env, "ACTIONS_CACHE_SERVICE_V2")
	}
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

// TestGitHubCache keeps steps in GitHub's cache, and has them from there on a
// machine that knows nothing.
func TestGitHubCache(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			g := newGitHub(t)
			spec := buildkit.Spec{
				Context: shellFolder(t, "RUN cat /proc/sys/kernel/random/uuid > /made; echo it ran\n", nil),
				Cache:   gha(nil),
			}
			on := func(state string) *solve.Builder { b := builderAt(t, state); b.Env = g.environ(version); return b }
			state := t.TempDir()
			want, r := build(t, on(state), spec)
			if !strings.Contains(r.log(), "it ran") {
				t.Fatalf("log: %q", r.log())
			}
			secret(t, g, state, r)
			if slices.Contains(g.asked, "caches") != (version == 1) || slices.Contains(g.asked, "CreateCacheEntry") != (version == 2) {
				t.Errorf("the service was asked for %v", g.asked)
			}
			got, r := build(t, on(t.TempDir()), spec)
			if strings.Contains(r.log(), "it ran") || got.Digest != want.Digest {
				t.Errorf("digest %s, want %s; log %q", got.Digest, want.Digest, r.log())
			}
			if n := r.cached("RUN cat"); n == 0 {
				t.Errorf("the step is not called cached: %+v", r.seen)
			}
			secret(t, g, state, r)
		})
	}
}

// gha is a cache at GitHub, both ways.
func gha(attrs map[string]string) buildkit.Cache {
	all := map[string]string{"scope": "shop/web", "mode": "max"}
	for k, v := range attrs {
		all[k] = v
	}
	e := []buildkit.CacheEntry{{Type: "gha", Attrs: all}}
	return buildkit.Cache{From: e, To: e}
}

// cached returns how often a vertex whose name has the words was found in a cache.
func (r *record) cached(words string) (n int) {
	for _, p := range r.seen {
		if p.Cached && strings.Contains(p.Name, words) {
			n++
		}
	}
	return n
}

// secret checks that neither what was said nor what was kept opens the cache.
func secret(t *testing.T, g *github, state string, r *record) {
	t.Helper()
	for _, p := range r.seen {
		if said := fmt.Sprintf("%+v %+v", p, p.Warning); strings.Contains(said, g.token) || strings.Contains(said, signature) {
			t.Errorf("it is said: %s", said)
		}
	}
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), g.token) || strings.Contains(string(data), signature) {
			t.Errorf("it is kept in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestGitHubCacheFaults lets each request to GitHub's cache go wrong in each way, and
// builds in any case: the user is told. Storage that breaks off is asked again for a
// quarter of an hour, and waited for without end where it says nothing, were it not
// for the patience of the solver.
func TestGitHubCacheFaults(t *testing.T) {
	refuse := func(status int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, `{"message":"on purpose"}`)
		}
	}
	ways := map[string]func(http.ResponseWriter){
		"500":   refuse(http.StatusInternalServerError, "Retry-After-Ms", "1"), // Azure's client asks ten times again
		"429":   refuse(http.StatusTooManyRequests, "Retry-After", "3600"),
		"reset": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	asked := map[int]map[string]string{ // on which way the request is made
		1: {"cache": "both", "caches": "to", "1": "to", "GET blob": "from", "GET layer": "from"},
		2: {"GetCacheEntryDownloadURL": "both", "CreateCacheEntry": "to", "PUT blob": "to", "FinalizeCacheEntryUpload": "to", "GET blob": "from", "GET layer": "from"},
	}
	b := newBuilder(t)
	hasty := builderOn(t, &embed.Solver{State: t.TempDir(), Patience: 3 * time.Second})
	for version, requests := range asked {
		for request, way := range requests {
			stop := make(chan struct{})
			ways := maps.Clone(ways)
			if request == "GET layer" {
				ways["silent"] = func(http.ResponseWriter) { <-stop }
			}
			for name, wrong := range ways {
				t.Run(fmt.Sprintf("%d %s %s", version, request, name), func(t *testing.T) {
					g := newGitHub(t)
					g.Config.ErrorLog = log.New(io.Discard, "", 0)
					b.Env, hasty.Env = g.environ(version), g.environ(version)
					at, says := b, "the cache was left out"
					switch slow := version == 2 && name == "reset" || name == "silent"; {
					case slow && request == "GET layer":
						at, says = hasty, "the cache says nothing for 3s"
					case slow && strings.HasSuffix(request, "blob"):
						at, says = hasty, "it took more than 3s"
					}
					spec := buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY name /\n", "name": t.Name()}), Cache: gha(map[string]string{"timeout": "1s"})}
					if way == "from" {
						spec.Cache.From = nil
						build(t, b, spec)
						spec.Cache = buildkit.Cache{From: gha(nil).From}
						if _, err := b.Prune(t.Context(), solve.Limit{All: true}); err != nil {
							t.Fatal(err)
						}
					}
					fired, blobs := 0, 0
					g.wrong = func(w http.ResponseWriter, asked string) bool {
						if asked == "GET blob" && request == "GET layer" {
							if blobs++; blobs > 1 { // the first is what lists the layers
								asked = request
							}
						}
						if asked != request {
							return false
						}
						fired++
						wrong(w)
						return true
					}
					_, r := build(t, at, spec)
					if name == "silent" {
						close(stop)
					}
					if g.Close(); fired == 0 {
						t.Errorf("nothing went wrong: %v", g.asked)
					}
					if r.warned("the cache was left out") == 0 || r.warned(says) == 0 {
						t.Errorf("no warning: %+v", r.seen)
					}
					secret(t, g, t.TempDir(), r)
				})
			}
		}
	}
}

// warned returns how many warnings have the words.
func (r *record) warned(words string) (n int) {
	for _, p := range r.seen {
		if p.Warning != nil && strings.Contains(p.Warning.Text, words) {
			n++
		}
	}
	return n
}
