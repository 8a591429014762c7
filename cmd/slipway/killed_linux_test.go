package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/faults"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

const killedPipeline = `slipway: v1
name: killed
vars: {registry: {env: REGISTRY}}
stages:
  base:
    build: {context: base}
  app:
    build: {context: app, contexts: {base: "${{ stages.base.image }}"}, push: {repository: "${{ vars.registry }}/team/app", tags: [v1]}}
  again:
    copy: {image: "${{ stages.app.image }}", to: {repository: "${{ vars.registry }}/team/copied", tags: [v1, latest]}}
`

// A scene is a pipeline, and a state folder that all of its runs share.
type scene struct{ dir, state string }

func newScene(t *testing.T) scene {
	t.Helper()
	s := scene{t.TempDir(), t.TempDir()}
	for name, text := range map[string]string{
		"slipway.yaml":    killedPipeline,
		"base/Dockerfile": "FROM scratch\nCOPY Dockerfile /base\n",
		"app/Dockerfile":  "FROM base\nCOPY Dockerfile /app\n",
	} {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// command returns a run against a registry.
func (s scene) command(t *testing.T, url string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "slipway", "run", "--state", s.state)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "REGISTRY="+strings.TrimPrefix(url, "http://"), "DOCKER_CONFIG="+s.dir)
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

// content returns what a registry's folder holds: repositories, tags, digests.
func content(t *testing.T, srv *registry.Server) string {
	t.Helper()
	ask := func(path string, into any) {
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	var out strings.Builder
	var catalog struct{ Repositories []string }
	ask("/v2/_catalog", &catalog)
	for _, name := range catalog.Repositories {
		var list struct{ Tags []string }
		ask("/v2/"+name+"/tags/list", &list)
		for _, tag := range list.Tags {
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/"+name+"/manifests/"+tag, nil))
			fmt.Fprintln(&out, name, tag, w.Header().Get("Docker-Content-Digest"))
			var m struct {
				Config struct{ Digest string }
				Layers []struct{ Digest string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
			for _, blob := range append(m.Layers, m.Config) {
				w := httptest.NewRecorder()
				srv.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/v2/"+name+"/blobs/"+blob.Digest, nil))
				if w.Code != http.StatusOK {
					t.Errorf("%s:%s names %s, which is not there", name, tag, blob.Digest)
				}
			}
		}
	}
	return out.String()
}

// A run is killed at every request that it makes of a registry, before it is
// answered, and after where that changed something, and run again: what is there in the end is always the
// same, and nothing is left.
func TestKillPoints(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("builds in its own process as root alone")
	}
	s := newScene(t)
	reference := &registry.Server{Dir: t.TempDir()}
	proxy := &faults.Proxy{Next: reference}
	srv := httptest.NewServer(proxy)
	defer srv.Close()
	if cmd := s.command(t, srv.URL); cmd.Run() != nil {
		t.Fatalf("unharmed: %s", cmd.Stderr)
	}
	want, seen := content(t, reference), proxy.Seen()
	points := len(seen)
	if strings.Count(want, "\n") < 5 || points < 15 {
		t.Fatalf("%d requests made:\n%s", points, want)
	}
	for k := 1; k <= points; k++ {
		for _, when := range []string{"before", "after"} {
			if m := seen[k-1].Method; when == "after" && (m == http.MethodGet || m == http.MethodHead) {
				continue // it changed nothing
			}
			t.Run(fmt.Sprintf("request %d %s", k, when), func(t *testing.T) {
				if got := s.killedAt(t, k, when); got != want {
					t.Errorf("got:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	}
	s.nothingLeft(t)
}

// killedAt kills a run at its k-th request, runs it again, and returns what the
// registry holds.
func (s scene) killedAt(t *testing.T, k int, when string) string {
	var mu sync.Mutex
	var cmd *exec.Cmd
	killed, over := false, false
	kill := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return false
		}
		if n == k {
			killed = true
			_ = cmd.Process.Kill()
		}
		return killed
	}
	upstream := &registry.Server{Dir: t.TempDir()}
	proxy := &faults.Proxy{Next: upstream}
	if when == "before" {
		proxy.Before = kill
	} else {
		proxy.After = kill
	}
	srv := httptest.NewServer(proxy)
	srv.Config.ErrorLog = nil
	defer srv.Close()
	mu.Lock()
	cmd = s.command(t, srv.URL)
	err := cmd.Start()
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	mu.Lock()
	done := killed
	over = true // requests of the dead may still be under way
	mu.Unlock()
	if !done {
		// Fewer requests than in the first run: another order of what runs at once.
		if err != nil {
			t.Errorf("it was not killed, and failed: %s", cmd.Stderr)
		}
	} else if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Errorf("killed, it ended with %v", err)
	}
	// At the same address: what was planned and remembered is about it.
	if again := s.command(t, srv.URL); again.Run() != nil {
		t.Fatalf("again: %s", again.Stderr)
	}
	return content(t, upstream)
}

// nothingLeft looks for what killed runs left behind that the last one should
// have removed.
func (s scene) nothingLeft(t *testing.T) {
	t.Helper()
	// Whatever starts the solver next sweeps.
	if out, err := exec.CommandContext(t.Context(), "slipway", "cache", "du", "--state", s.state).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), s.state) {
		t.Error("something is mounted still")
	}
	for _, pattern := range []string{"root/holder.json", "root/runc-*/executor/*/config.json", "isolated-*"} {
		if left, _ := filepath.Glob(filepath.Join(s.state, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), s.state) {
			t.Errorf("still runs: %q", text)
		}
	}
}
