package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/faults"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

// A faultCell is one kind of request, of one of those who make it, that goes wrong in
// one way, while a pipeline builds on a base in that registry and pushes there.
type faultCell struct {
	by, dir, host string
	upstream      *registry.Server
	proxy         *faults.Proxy
	outcome       string
	problems      []string
}

// builderAsks tells BuildKit's own requests from ours.
func builderAsks(r faults.Request) bool {
	return strings.HasPrefix(r.Agent, "buildkit/") || strings.HasPrefix(r.Agent, "containerd/")
}

// TestRegistryFaults lets every kind of request to a registry go wrong in every way,
// also those that BuildKit makes, while the command builds and pushes. What comes of
// it is written down in testdata/faults.golden, after some things hold in any case.
func TestRegistryFaults(t *testing.T) {
	world := faultyWorld(t)
	if world == nil {
		return
	}
	defer close(world.stop)
	ours := []faults.Kind{faults.Ping, faults.Token, faults.HeadManifest, faults.GetManifest, faults.HeadBlob, faults.PostUpload, faults.PutUpload, faults.PutManifest}
	theirs := []faults.Kind{faults.Token, faults.HeadManifest, faults.GetManifest, faults.GetBlob}
	var cells []*faultCell
	add := func(by string, kind faults.Kind, n int) {
		c := &faultCell{by: by, dir: t.TempDir(), upstream: &registry.Server{Dir: t.TempDir()}}
		c.proxy, c.host = world.proxy(t, c.upstream, kind, n, func(r faults.Request) bool { return builderAsks(r) == (by == "builder") })
		cells = append(cells, c)
	}
	for n := range faults.All("", 0, nil) {
		for _, kind := range ours {
			add("slipway", kind, n)
		}
		for _, kind := range theirs {
			add("builder", kind, n)
		}
	}
	world.login(t)
	socket := builderFor(t)
	var running sync.WaitGroup
	places := make(chan struct{}, 24) // most of the time is spent waiting to try again
	for _, c := range cells {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c.run(t.Context(), socket)
		})
	}
	running.Wait()

	var table strings.Builder
	for _, c := range cells {
		for _, problem := range c.problems {
			t.Errorf("%s %s %s: %s", c.by, c.proxy.On, c.proxy.Fault.Name, problem)
		}
		fmt.Fprintf(&table, "%-7s  %-13s  %-22s  %s\n", c.by, c.proxy.On, c.proxy.Fault.Name, c.outcome)
	}
	world.check(t)
	compareTable(t, filepath.Join("testdata", "faults.golden"), table.String())
}

// compareTable compares a table with the one that is written down, line by line.
func compareTable(t *testing.T, golden, table string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, lines := strings.Split(table, "\n"), strings.Split(string(want), "\n")
	if len(got) != len(lines) {
		t.Errorf("%d lines, want %d", len(got), len(lines))
	}
	for i, line := range lines {
		if i < len(got) && got[i] != line {
			t.Errorf("got  %s\nwant %s", got[i], line)
		}
	}
}

// run lets the command fail, or not, and then lets it work.
func (c *faultCell) run(ctx context.Context, socket string) {
	problem := func(format string, args ...any) { c.problems = append(c.problems, fmt.Sprintf(format, args...)) }
	files := map[string]string{
		"app/Dockerfile": "FROM " + c.host + "/team/base:1\nCOPY Dockerfile /app\n",
		"slipway.yaml":   "slipway: v1\nname: faults\nstages:\n  app:\n    build: {context: app, push: {repository: " + c.host + "/team/app, tags: [v1]}}\n",
	}
	for name, text := range files {
		path := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			problem("%v", err)
			return
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			problem("%v", err)
			return
		}
	}
	if err := putBase(ctx, c.upstream, c.host); err != nil {
		problem("%v", err)
		return
	}
	slipway := func() (code int, said string) {
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, patience: silence, env: func(string) (string, bool) { return "", false }}
		code = a.main(ctx, []string{"run", "-f", filepath.Join(c.dir, "slipway.yaml"), "--state", filepath.Join(c.dir, "state"), "--builder", socket, "--progress", "plain"})
		return code, out.String()
	}
	code, said := slipway()
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		fmt.Printf("=== %s %s %s: %d fired %d of %d\n%s", c.by, c.proxy.On, c.proxy.Fault.Name, code, c.proxy.Fired(), len(c.proxy.Seen()), said)
	}
	c.outcome = fmt.Sprintf("exit code %d", code)
	if c.proxy.Fired() == 0 {
		problem("nothing went wrong: the proxy did not fire")
	}
	if code != exitOK && code != exitRegistry {
		problem("exit code %d\n%s", code, said)
	}
	if code != exitOK && !strings.Contains(said, "registry "+c.host) {
		problem("it does not say which registry\n%s", said)
	}
	for _, secret := range []string{"secret", "let-me-in", "YWRhOnNlY3JldA"} {
		if strings.Contains(said, secret) {
			problem("a credential is said\n%s", said)
		}
	}
	c.counted(problem)
	tagged := c.whole(problem)
	if code == exitOK && tagged == "" {
		problem("exit code 0, but nothing was pushed\n%s", said)
	}
	// It was the fault and nothing else.
	c.proxy.Heal()
	if code, said := slipway(); code != exitOK {
		problem("afterwards, without the fault: exit code %d\n%s", code, said)
	} else if now := c.whole(problem); now == "" || tagged != "" && tagged != now {
		problem("afterwards, without the fault, v1 is %q, and was %q", now, tagged)
	}
}

// counted checks how many requests were made. Whoever retries stops at some time.
func (c *faultCell) counted(problem func(string, ...any)) {
	const unharmed, tries = 31, 6
	seen := map[string]int{}
	for _, r := range c.proxy.Seen() {
		path, _, _ := strings.Cut(r.Path, "?")
		seen[r.Method+" "+path+" "+r.Agent]++
		if r.Kind == faults.PatchUpload {
			problem("uploads come in one piece: there is no PATCH that could go wrong")
		}
	}
	for what, n := range seen {
		if n > 4*tries {
			problem("%d requests: %s", n, what)
		}
	}
	if n := len(c.proxy.Seen()); n > unharmed+12*tries {
		problem("%d requests in all", n)
	}
}

// whole returns what the tag v1 stands for, all of which is there.
func (c *faultCell) whole(problem func(string, ...any)) string {
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.upstream.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/team/app/"+path, nil))
		return w
	}
	var list struct{ Tags []string }
	_ = json.Unmarshal(get("tags/list").Body.Bytes(), &list) // a repository that is not there has none
	tagged := ""
	for _, tag := range list.Tags {
		w := get("manifests/" + tag)
		if tag == "v1" {
			tagged = w.Header().Get("Docker-Content-Digest")
		}
		var m struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.Config.Digest == "" || len(m.Layers) != 2 {
			problem("tag %s is no image: %d %s", tag, w.Code, w.Body)
		}
		for _, d := range append(m.Layers, m.Config) {
			if w := get("blobs/" + d.Digest); w.Code != http.StatusOK || sum(w.Body.Bytes()) != d.Digest {
				problem("tag %s names %s, which is not there: %d", tag, d.Digest, w.Code)
			}
		}
	}
	return tagged
}

func sum(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

// putBase puts an image into a registry that no builder has seen yet.
func putBase(ctx context.Context, srv http.Handler, content string) error {
	put := func(method, path, kind string, data []byte) (*http.Response, error) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(data))
		r.Header.Set("Content-Type", kind)
		srv.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			return nil, fmt.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Result(), nil
	}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	blob := func(kind string, data []byte) (descriptor, error) {
		_, err := put(http.MethodPost, "/v2/team/base/blobs/uploads/?digest="+sum(data), "application/octet-stream", data)
		return descriptor{"application/vnd.oci.image." + kind, sum(data), len(data)}, err
	}
	var plain, zipped bytes.Buffer
	files := tar.NewWriter(&plain)
	if err := files.WriteHeader(&tar.Header{Name: "base", Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, _ = files.Write([]byte(content))
	if err := files.Close(); err != nil {
		return err
	}
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write(plain.Bytes())
	if err := zip.Close(); err != nil {
		return err
	}
	layer, err := blob("layer.v1.tar+gzip", zipped.Bytes())
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{sum(plain.Bytes())}},
	})
	if err != nil {
		return err
	}
	made, err := blob("config.v1+json", config)
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": made, "layers": []descriptor{layer},
	})
	if err != nil {
		return err
	}
	_, err = put(http.MethodPut, "/v2/team/base/manifests/1", "application/vnd.oci.image.manifest.v1+json", manifest)
	return err
}
