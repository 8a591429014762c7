package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit/registry"
)

const services = 40

// fleet writes forty services over one base, under a folder, mode and time.
func fleet(t *testing.T, host string, mode os.FileMode, when time.Time) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), mode|0o111); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for i := range services {
		name := fmt.Sprintf("s%d", i)
		names = append(names, name)
		write(name+"/Dockerfile", "FROM "+host+"/base:1\nCOPY main /main\n")
		write(name+"/main", name)
	}
	write("base/Dockerfile", "FROM scratch\nCOPY base /base\n")
	write("base/base", "base")
	write("base.yaml", "slipway: v1\nname: fleet\nstages:\n  base:\n    build: {context: base, push: {repository: "+host+"/base, tags: [\"1\"]}}\n")
	write("slipway.yaml", "slipway: v1\nname: fleet\nstages:\n  svc:\n    matrix: {svc: ["+strings.Join(names, ", ")+"]}\n    build: {context: \"${{ matrix.svc }}\", push: \""+host+"/${{ matrix.svc }}\"}\n")
	return dir
}

// TestFleet builds forty services once. On another machine, with another umask and
// other times, nothing is built: no solver starts, and the registry is asked once
// for the base and once for each image. After an edit one is built, and the plan
// names the file.
func TestFleet(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a solver of our own in this process")
	}
	var mu sync.Mutex
	asked := map[string]int{}
	server := &registry.Server{Dir: t.TempDir()}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			mu.Lock()
			asked[r.URL.Path]++
			mu.Unlock()
		}
		server.ServeHTTP(w, r)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	slipway := func(args ...string) string {
		t.Helper()
		var out, talk bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, env: func(string) (string, bool) { return "", false }}
		if code := a.main(t.Context(), args); code != 0 {
			t.Fatalf("slipway %q: exit code %d\n%s%s", args, code, &talk, &out)
		}
		return out.String()
	}
	here, state := fleet(t, host, 0o644, time.Now()), t.TempDir()
	slipway("run", "-f", filepath.Join(here, "base.yaml"), "--state", t.TempDir(), "--progress", "quiet")
	slipway("run", "-f", filepath.Join(here, "slipway.yaml"), "--state", state, "--progress", "quiet")

	there, other := fleet(t, host, 0o600, time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)), t.TempDir()
	mu.Lock()
	clear(asked)
	mu.Unlock()
	slipway("run", "-f", filepath.Join(there, "slipway.yaml"), "--state", other, "--progress", "quiet")
	if _, err := os.Stat(filepath.Join(other, "root")); err == nil {
		t.Error("a solver was started")
	}
	total := 0
	for path, n := range asked {
		if total += n; n > 1 {
			t.Errorf("%d requests for %s", n, path)
		}
	}
	if total != services+1 {
		t.Errorf("%d requests, want one for the base and one for each image: %d", total, services+1)
	}

	if err := os.WriteFile(filepath.Join(here, "s7", "main"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	plan := slipway("plan", "-f", filepath.Join(here, "slipway.yaml"), "--state", state)
	if n := strings.Count(plan, "reuse: "); n != services-1 {
		t.Errorf("%d are reused, want %d\n%s", n, services-1, plan)
	}
	if !strings.Contains(plan, "build: file main changed") || strings.Count(plan, "build: ") != 1 {
		t.Errorf("the plan does not name the file:\n%s", plan)
	}
}
