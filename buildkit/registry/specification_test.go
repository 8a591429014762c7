package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A step is a request of one end point, and what the specification wants back.
//
// See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints.
type step struct {
	end    string // of the table "Endpoints"
	method string
	path   string // "$name" is a value that an earlier step kept
	header map[string]string
	body   string
	status int
	want   map[string]string // headers; "*" is any value
	says   string            // part of the body
	keep   string            // keeps the header Location under this name
}

func TestSpecification(t *testing.T) {
	const blob, other = "hello world", "second blob"
	config := "{}"
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"%s","size":11}]}`, digestOf([]byte(config)), digestOf([]byte(blob)))
	subject := digestOf([]byte(manifest))
	referrer := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x.sbom","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2},"layers":[],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d},"annotations":{"a":"b"}}`, digestOf([]byte(config)), subject, len(manifest))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/x.index","manifests":[],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"%s","size":%d}}`, subject, len(manifest))
	early := strings.Replace(referrer, subject, digestOf([]byte("not there yet")), 1)
	dBlob, dOther, dConfig, dReferrer := digestOf([]byte(blob)), digestOf([]byte(other)), digestOf([]byte(config)), digestOf([]byte(referrer))
	none := "sha256:" + strings.Repeat("0", 64)
	const image = "application/vnd.oci.image.manifest.v1+json"
	typed := map[string]string{"Content-Type": image}
	part := func(r string) map[string]string { return map[string]string{"Content-Range": r} }
	dir := t.TempDir()
	srv := &Server{Dir: dir}
	kept := map[string]string{}
	for i, s := range []step{
		{end: "1", method: "GET", path: "/v2/", status: 200},
		{end: "2", method: "HEAD", path: "/v2/a/b/blobs/" + none, status: 404},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/" + none, status: 404, says: "BLOB_UNKNOWN"},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/sha256:short", status: 400, says: "DIGEST_INVALID"},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/v1", status: 404, says: "NAME_UNKNOWN"},
		{end: "3", method: "GET", path: "/v2/A/b/manifests/v1", status: 400, says: "NAME_INVALID"},

		// Monolithic: POST then PUT.
		{end: "4a", method: "POST", path: "/v2/a/b/blobs/uploads/", status: 202, want: map[string]string{"Location": "*"}, keep: "put"},
		{end: "6", method: "PUT", path: "$put?digest=" + none, body: blob, status: 400, says: "DIGEST_INVALID"},
		{end: "6", method: "PUT", path: "$put?digest=" + dBlob, body: blob, status: 404, says: "BLOB_UPLOAD_UNKNOWN"},
		{end: "4a", method: "POST", path: "/v2/a/b/blobs/uploads/", status: 202, keep: "put"},
		{end: "6", method: "PUT", path: "$put?digest=" + dBlob, body: blob, status: 201, want: map[string]string{"Location": "/v2/a/b/blobs/" + dBlob, "Docker-Content-Digest": dBlob}},
		// Monolithic: one POST.
		{end: "4b", method: "POST", path: "/v2/a/b/blobs/uploads/?digest=" + dConfig, body: config, status: 201, want: map[string]string{"Location": "/v2/a/b/blobs/" + dConfig}},
		// Chunked, in order, resumed.
		{end: "4a", method: "POST", path: "/v2/a/b/blobs/uploads/", status: 202, keep: "chunks"},
		{end: "5", method: "PATCH", path: "$chunks", header: part("0-5"), body: other[:6], status: 202, want: map[string]string{"Range": "0-5", "Location": "*"}, keep: "chunks"},
		{end: "5", method: "PATCH", path: "$chunks", header: part("7-8"), body: "xx", status: 416, want: map[string]string{"Range": "0-5", "Location": "*"}},
		{end: "5", method: "PATCH", path: "$chunks", header: part("6-9"), body: "x", status: 416},
		{end: "13", method: "GET", path: "$chunks", status: 204, want: map[string]string{"Range": "0-5", "Location": "*"}},
		{end: "6", method: "PUT", path: "$chunks?digest=" + dOther, header: part("6-10"), body: other[6:], status: 201, want: map[string]string{"Location": "*"}},
		{end: "13", method: "GET", path: "$chunks", status: 404},
		// Cancelled.
		{end: "4a", method: "POST", path: "/v2/a/b/blobs/uploads/", status: 202, keep: "cancel"},
		{end: "14", method: "DELETE", path: "$cancel", status: 204},
		{end: "13", method: "GET", path: "$cancel", status: 404},
		// Pulled, whole and in parts.
		{end: "2", method: "HEAD", path: "/v2/a/b/blobs/" + dOther, status: 200, want: map[string]string{"Content-Length": "11", "Docker-Content-Digest": dOther}},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/" + dOther, status: 200, says: other},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/" + dOther, header: map[string]string{"Range": "bytes=7-"}, status: 206, says: "blob", want: map[string]string{"Content-Range": "bytes 7-10/11"}},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/" + dOther, header: map[string]string{"Range": "bytes=99-"}, status: 416},

		// Mounted from another repository.
		{end: "11", method: "POST", path: "/v2/c/blobs/uploads/?mount=" + dOther + "&from=a/b", status: 201, want: map[string]string{"Location": "/v2/c/blobs/" + dOther}},
		{end: "11", method: "POST", path: "/v2/c/blobs/uploads/?mount=" + none + "&from=a/b", status: 202, want: map[string]string{"Location": "*"}},
		{end: "11", method: "POST", path: "/v2/c/blobs/uploads/?mount=" + dBlob, status: 201},
		{end: "2", method: "HEAD", path: "/v2/c/blobs/" + dOther, status: 200},

		// Manifests.
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/v1", header: typed, body: "{", status: 400, says: "MANIFEST_INVALID"},
		{end: "7", method: "PUT", path: "/v2/x/manifests/v1", header: typed, body: manifest, status: 404, says: "MANIFEST_BLOB_UNKNOWN"},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/v1", header: typed, body: manifest, status: 201, want: map[string]string{"Location": "/v2/a/b/manifests/" + subject, "Docker-Content-Digest": subject}},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/" + none, header: typed, body: manifest, status: 400, says: "DIGEST_INVALID"},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/V2", header: typed, body: manifest, status: 201},
		{end: "3", method: "HEAD", path: "/v2/a/b/manifests/v1", status: 200, want: map[string]string{"Docker-Content-Digest": subject, "Content-Type": image, "Content-Length": fmt.Sprint(len(manifest))}},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/" + subject, status: 200, says: manifest},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/none", status: 404, says: "MANIFEST_UNKNOWN"},

		// Tags.
		{end: "8a", method: "GET", path: "/v2/a/b/tags/list", status: 200, says: `"tags":["V2","v1"]`},
		{end: "8b", method: "GET", path: "/v2/a/b/tags/list?n=1", status: 200, says: `"tags":["V2"]`, want: map[string]string{"Link": "*"}},
		{end: "8b", method: "GET", path: "/v2/a/b/tags/list?n=5&last=V2", status: 200, says: `"tags":["v1"]`},
		{end: "8b", method: "GET", path: "/v2/a/b/tags/list?n=0", status: 200, says: `"tags":[]`},
		{end: "8a", method: "GET", path: "/v2/x/tags/list", status: 404, says: "NAME_UNKNOWN"},

		// Referrers: of a subject, filtered, of what is not there.
		{end: "12a", method: "GET", path: "/v2/a/b/referrers/" + subject, status: 200, says: `"manifests":[]`, want: map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/" + dReferrer, header: typed, body: referrer, status: 201, want: map[string]string{"OCI-Subject": subject}},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/" + digestOf([]byte(index)), header: map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}, body: index, status: 201, want: map[string]string{"OCI-Subject": subject}},
		{end: "7", method: "PUT", path: "/v2/a/b/manifests/" + digestOf([]byte(early)), header: typed, body: early, status: 201},
		{end: "12a", method: "GET", path: "/v2/a/b/referrers/" + subject, status: 200, says: `"artifactType":"application/x.sbom","annotations":{"a":"b"}`},
		{end: "12a", method: "GET", path: "/v2/a/b/referrers/" + subject, status: 200, says: `"artifactType":"application/x.index"`},
		{end: "12a", method: "GET", path: "/v2/a/b/referrers/" + digestOf([]byte("not there yet")), status: 200, says: digestOf([]byte(early))},
		{end: "12b", method: "GET", path: "/v2/a/b/referrers/" + subject + "?artifactType=application/x.none", status: 200, says: `"manifests":[]`, want: map[string]string{"OCI-Filters-Applied": "artifactType"}},
		{end: "12a", method: "GET", path: "/v2/nowhere/referrers/" + none, status: 200, says: `"manifests":[]`},
		{end: "12a", method: "GET", path: "/v2/a/b/referrers/sha256:bad", status: 400},

		// Deletes.
		{end: "9", method: "DELETE", path: "/v2/a/b/manifests/" + dReferrer, status: 202},
		{end: "12b", method: "GET", path: "/v2/a/b/referrers/" + subject + "?artifactType=application/x.sbom", status: 200, says: `"manifests":[]`},
		{end: "9", method: "DELETE", path: "/v2/a/b/manifests/V2", status: 202},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/V2", status: 404},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/v1", status: 200},
		{end: "9", method: "DELETE", path: "/v2/a/b/manifests/" + subject, status: 202},
		{end: "3", method: "GET", path: "/v2/a/b/manifests/v1", status: 404},
		{end: "9", method: "DELETE", path: "/v2/a/b/manifests/" + subject, status: 404},
		{end: "10", method: "DELETE", path: "/v2/a/b/blobs/" + dOther, status: 202},
		{end: "2", method: "GET", path: "/v2/a/b/blobs/" + dOther, status: 404},
		{end: "2", method: "GET", path: "/v2/c/blobs/" + dOther, status: 200, says: other}, // is another repository's, too
		{end: "10", method: "DELETE", path: "/v2/a/b/blobs/" + none, status: 404},
		{end: "10", method: "DELETE", path: "/v2/c/blobs/" + dOther, status: 202},
		{end: "2", method: "POST", path: "/v2/a/b/manifests/v1", status: 404},
	} {
		path := s.path
		for name, value := range kept {
			path = strings.Replace(path, "$"+name, value, 1)
		}
		req := httptest.NewRequest(s.method, path, bytes.NewReader([]byte(s.body)))
		for k, v := range s.header {
			req.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, req)
		at := fmt.Sprintf("%d: end-%s %s %s", i, s.end, s.method, path)
		if w.Code != s.status {
			t.Errorf("%s: status %d, want %d: %s", at, w.Code, s.status, w.Body)
		}
		if s.says != "" && !strings.Contains(w.Body.String(), s.says) {
			t.Errorf("%s: %s, want %s in it", at, w.Body, s.says)
		}
		for k, v := range s.want {
			if got := w.Header().Get(k); got != v && (v != "*" || got == "") {
				t.Errorf("%s: header %s is %q, want %q", at, k, got, v)
			}
		}
		if w.Code >= 400 && s.method != http.MethodHead {
			var said struct{ Errors []struct{ Code string } }
			if err := json.Unmarshal(w.Body.Bytes(), &said); w.Header().Get("Content-Type") == "application/json" && (err != nil || len(said.Errors) == 0) {
				t.Errorf("%s: the error is %s", at, w.Body)
			}
		}
		if s.keep != "" {
			kept[s.keep] = w.Header().Get("Location")
		}
	}

	// What nothing names any more is gone from the disk when the folder is served again.
	held := func(digest string) bool { return has(store{dir}.blob(digest)) }
	if !held(dOther) {
		t.Error("a blob is removed while the folder is served: somebody may be about to mount it")
	}
	again := httptest.NewRecorder()
	(&Server{Dir: dir}).ServeHTTP(again, httptest.NewRequest(http.MethodGet, "/v2/a/b/blobs/"+dBlob, nil))
	if again.Body.String() != blob {
		t.Errorf("after a restart: %d %s", again.Code, again.Body)
	}
	if held(dOther) || held(dReferrer) || !held(dBlob) || !held(dConfig) {
		t.Error("what nothing names is not what is gone")
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "repos", "c", "_blobs")); len(left) != 1 {
		t.Errorf("left in c: %v", left)
	}
}
