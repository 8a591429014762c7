package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// uploads returns what lies in the folder of uploads.
func uploads(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "uploads"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestServerOutlivesItself(t *testing.T) {
	dir := t.TempDir()
	img := randomImage(t, 3)
	first := serve(t, &Server{Dir: dir})
	tag, err := name.NewTag(first.host+"/team/app:V1", name.Insecure)
	fatal(t, err)
	fatal(t, remote.Write(tag, img))
	first.Close()

	second := serve(t, &Server{Dir: dir})
	pull(t, second.host+"/team/app:V1")
	repo, err := name.NewRepository(second.host+"/team/app", name.Insecure)
	fatal(t, err)
	tags, err := remote.List(repo)
	fatal(t, err)
	if !slices.Equal(tags, []string{"V1"}) {
		t.Errorf("got tags %q, want V1", tags)
	}
	if left := uploads(t, dir); len(left) != 0 {
		t.Errorf("uploads left over: %q", left)
	}
}

func TestServerPushesAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, &Server{Dir: dir})
	img := randomImage(t, 3)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			tag, err := name.NewTag(fmt.Sprintf("%s/app%d:v1", w.host, i%2), name.Insecure)
			if err == nil {
				err = remote.Write(tag, img)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	pull(t, w.host+"/app0:v1")
	pull(t, w.host+"/app1:v1")
	if left := uploads(t, dir); len(left) != 0 {
		t.Errorf("uploads left over: %q", left)
	}
}

func TestServerReferrersAndDelete(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	repo, err := name.NewRepository(w.host+"/app", name.Insecure)
	fatal(t, err)
	img := randomImage(t, 1)
	fatal(t, remote.Write(repo.Tag("v1"), img))
	fatal(t, remote.Write(repo.Tag("v2"), img))
	digest, err := img.Digest()
	fatal(t, err)
	size, err := img.Size()
	fatal(t, err)
	mt, err := img.MediaType()
	fatal(t, err)
	signature := mutate.Subject(randomImage(t, 1), v1.Descriptor{MediaType: mt, Digest: digest, Size: size}).(v1.Image)
	fatal(t, remote.Write(repo.Tag("sig"), signature))

	count := func() int {
		t.Helper()
		idx, err := remote.Referrers(repo.Digest(digest.String()))
		fatal(t, err)
		m, err := idx.IndexManifest()
		fatal(t, err)
		return len(m.Manifests)
	}
	if n := count(); n != 1 {
		t.Errorf("got %d referrers, want 1", n)
	}
	sig, err := signature.Digest()
	fatal(t, err)
	fatal(t, remote.Delete(repo.Digest(sig.String())))
	if n := count(); n != 0 {
		t.Errorf("got %d referrers after a delete, want 0", n)
	}
	fatal(t, remote.Delete(repo.Tag("v2")))
	pull(t, w.host+"/app:v1")
	fatal(t, remote.Delete(repo.Digest(digest.String())))
	if tags, err := remote.List(repo); err != nil || len(tags) != 0 {
		t.Errorf("got tags %q, %v; want none", tags, err)
	}
	if _, err := remote.Head(repo.Tag("v1")); err == nil {
		t.Error("a tag outlived its manifest")
	}
}

// ask sends a request and returns the status, the code of its error, and headers.
func ask(t *testing.T, w *world, method, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	to := path
	if strings.HasPrefix(path, "/") {
		to = w.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, to, strings.NewReader(body))
	fatal(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	fatal(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	fatal(t, err)
	var said struct{ Errors []struct{ Code string } }
	code := ""
	if json.Unmarshal(raw, &said) == nil && len(said.Errors) > 0 {
		code = said.Errors[0].Code
	}
	return resp.StatusCode, code, resp.Header
}

func TestServerUploads(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	digest := digestOf([]byte("hello world"))
	step := func(method, path, body string, want int, code string, header ...string) http.Header {
		t.Helper()
		got, gotCode, h := ask(t, w, method, path, body, header...)
		if got != want || gotCode != code {
			t.Errorf("%s %s: got %d %s, want %d %s", method, path, got, gotCode, want, code)
		}
		return h
	}
	at := step("POST", "/v2/a/blobs/uploads/", "", 202, "").Get("Location")
	at = step("PATCH", at, "hello", 202, "", "Content-Range", "0-4").Get("Location")
	step("PATCH", at, "lo", 416, "BLOB_UPLOAD_INVALID", "Content-Range", "3-4")
	if r := step("GET", at, "", 204, "").Get("Range"); r != "0-4" {
		t.Errorf("got range %q, want 0-4", r)
	}
	step("PATCH", at, " wor", 202, "", "Content-Range", "5-8")
	step("PUT", at+"?digest="+digest, "ld", 201, "")
	step("PUT", at+"?digest="+digest, "", 404, "BLOB_UPLOAD_UNKNOWN")
	step("HEAD", "/v2/a/blobs/"+digest, "", 200, "")
	if h := step("GET", "/v2/a/blobs/"+digest, "", 206, "", "Range", "bytes=6-10"); h.Get("Content-Length") != "5" {
		t.Errorf("got %s bytes of a range, want 5", h.Get("Content-Length"))
	}

	step("HEAD", "/v2/b/blobs/"+digest, "", 404, "")
	step("POST", "/v2/b/blobs/uploads/?mount="+digest+"&from=c", "", 202, "")
	step("POST", "/v2/b/blobs/uploads/?mount="+digest+"&from=a", "", 201, "")
	step("HEAD", "/v2/b/blobs/"+digest, "", 200, "")
	step("DELETE", "/v2/a/blobs/"+digest, "", 202, "")
	step("GET", "/v2/a/blobs/"+digest, "", 404, "BLOB_UNKNOWN")
	step("HEAD", "/v2/b/blobs/"+digest, "", 200, "")

	step("POST", "/v2/a/blobs/uploads/?digest="+digest, "hello world", 201, "")
	step("POST", "/v2/a/blobs/uploads/?digest="+digest, "something else", 400, "DIGEST_INVALID")
	at = step("POST", "/v2/a/blobs/uploads", "", 202, "").Get("Location")
	step("PUT", at+"?digest=sha256:1", "x", 400, "DIGEST_INVALID")
	step("DELETE", at, "", 204, "")
	step("GET", at, "", 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestServerRefuses(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, &Server{Dir: filepath.Join(dir, "registry")})
	digest := digestOf([]byte("x"))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b","digest":%q,"size":1},"layers":[]}`, digest)
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/v2", "", 200, ""},
		{"GET", "/v2/", "", 200, ""},
		{"GET", "/other", "", 404, "UNSUPPORTED"},
		{"GET", "/v2/a/b/c", "", 404, "UNSUPPORTED"},
		{"GET", "/v2/a/manifests/v1", "", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/manifests/" + digest, "", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/manifests/..", "", 400, "MANIFEST_INVALID"},
		{"GET", "/v2/a/tags/list", "", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/a/blobs/" + digest, "", 404, "BLOB_UNKNOWN"},
		{"GET", "/v2/a/blobs/sha256:..", "", 400, "DIGEST_INVALID"},
		{"GET", "/v2/a/referrers/x", "", 400, "DIGEST_INVALID"},
		{"POST", "/v2/../etc/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/%2e%2e/%2e%2e/x/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/a/..%2f..%2fx/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/a/_blobs/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/A/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/a%00b/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"POST", "/v2/" + strings.Repeat("a", 256) + "/blobs/uploads/", "", 400, "NAME_INVALID"},
		{"PATCH", "/v2/a/blobs/uploads/..", "x", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"PATCH", "/v2/a/blobs/uploads/" + strings.Repeat("A", 26), "x", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"PUT", "/v2/a/manifests/v1", "no JSON", 400, "MANIFEST_INVALID"},
		{"PUT", "/v2/a/manifests/v1", "{}", 400, "MANIFEST_INVALID"},
		{"PUT", "/v2/a/manifests/v1", manifest, 404, "MANIFEST_BLOB_UNKNOWN"},
		{"PUT", "/v2/a/manifests/" + digest, manifest, 400, "DIGEST_INVALID"},
		{"POST", "/v2/a/manifests/v1", "", 404, "NAME_UNKNOWN"},
		{"PUT", "/v2/_catalog", "", 405, "UNSUPPORTED"},
	} {
		if got, code, _ := ask(t, w, tt.method, tt.path, tt.body); got != tt.status || code != tt.code {
			t.Errorf("%s %s: got %d %s, want %d %s", tt.method, tt.path, got, code, tt.status, tt.code)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
		t.Errorf("something was written beside the registry: %v, %v", entries, err)
	}
}

func TestServerPages(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	img := randomImage(t, 1)
	for _, ref := range []string{"b/x:1", "a:3", "a:1", "a:2", "c:1", "a:B", "a:b"} {
		tag, err := name.NewTag(w.host+"/"+ref, name.Insecure)
		fatal(t, err)
		fatal(t, remote.Write(tag, img))
	}
	repo, err := name.NewRepository(w.host+"/a", name.Insecure)
	fatal(t, err)
	tags, err := remote.List(repo, remote.WithPageSize(2))
	fatal(t, err)
	if want := []string{"1", "2", "3", "B", "b"}; !slices.Equal(tags, want) {
		t.Errorf("got %q, want %q", tags, want)
	}
	if w.count("GET", "/v2/a/tags/list") != 3 {
		t.Errorf("five tags by two were not three pages: %q", w.asked)
	}
	names, err := remote.Catalog(t.Context(), repo.Registry)
	fatal(t, err)
	if want := []string{"a", "b/x", "c"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if got, code, _ := ask(t, w, "GET", "/v2/a/tags/list?n=x", ""); got != 400 || code != "PAGINATION_NUMBER_INVALID" {
		t.Errorf("got %d %s", got, code)
	}
}

// TestServerTruncatedUpload ends a connection in the middle of a blob.
func TestServerTruncatedUpload(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, &Server{Dir: dir})
	data := bytes.Repeat([]byte("x"), 1<<20)
	digest := digestOf(data)
	_, _, h := ask(t, w, "POST", "/v2/a/blobs/uploads/", "")
	at := h.Get("Location")
	conn, err := net.Dial("tcp", w.host)
	fatal(t, err)
	fmt.Fprintf(conn, "PUT %s?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", at, digest, len(data))
	_, err = conn.Write(data[:len(data)/2])
	fatal(t, err)
	fatal(t, conn.Close())

	deadline := time.Now().Add(10 * time.Second)
	for {
		got, code, h := ask(t, w, "GET", at, "")
		if got == http.StatusNoContent && h.Get("Range") == "0-0" {
			break // the server saw the end, and the upload is as it was
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d %s, range %s", got, code, h.Get("Range"))
		}
		<-time.After(5 * time.Millisecond)
	}
	if got, _, _ := ask(t, w, "HEAD", "/v2/a/blobs/"+digest, ""); got != 404 {
		t.Errorf("half a blob is there: %d", got)
	}
	if got, _, _ := ask(t, w, "PUT", at+"?digest="+digest, string(data)); got != 201 {
		t.Errorf("the upload could not go on: %d", got)
	}
}

// TestServerCrash looks at a folder as a crash in the middle could leave it.
func TestServerCrash(t *testing.T) {
	dir := t.TempDir()
	w := serve(t, &Server{Dir: dir})
	_, _, h := ask(t, w, "POST", "/v2/a/blobs/uploads/", "")
	at := h.Get("Location")
	ask(t, w, "PATCH", at, "half of it")
	old := time.Now().Add(-2 * staleUpload)
	fatal(t, os.WriteFile(filepath.Join(dir, "uploads", "temp-OLD"), []byte("{"), 0o644))
	fatal(t, os.Chtimes(filepath.Join(dir, "uploads", "temp-OLD"), old, old))
	// Content that was written, while the link to it was not.
	fatal(t, os.MkdirAll(filepath.Join(dir, "blobs"), 0o755))
	fatal(t, os.WriteFile(filepath.Join(dir, "blobs", hexOf(digestOf([]byte("x")))), []byte("x"), 0o644))
	w.Close()

	w = serve(t, &Server{Dir: dir})
	if got, _, _ := ask(t, w, "HEAD", "/v2/a/blobs/"+digestOf([]byte("x")), ""); got != 404 {
		t.Errorf("a blob that no repository has: got %d, want 404", got)
	}
	if got, _, _ := ask(t, w, "PUT", at+"?digest="+digestOf([]byte("half of it all")), " all"); got != 201 {
		t.Errorf("an upload cannot go on after a restart: %d", got)
	}
	if got, _, _ := ask(t, w, "POST", "/v2/a/blobs/uploads/?digest="+digestOf([]byte("x")), "x"); got != 201 {
		t.Errorf("a blob that lies around cannot be pushed: %d", got)
	}
	if left := uploads(t, dir); len(left) != 0 {
		t.Errorf("uploads left over: %q", left)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "temp-") {
			t.Errorf("left over: %s", path)
		}
		return err
	})
	fatal(t, err)
}
