package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit/registry"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
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
// names the file. Reports say of what images consist, where that is known.
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
	consists := func(dir string, known bool) { // whether the last report says of what images consist
		t.Helper()
		r, err := page.Read([]byte(slipway("report", "-f", filepath.Join(dir, "slipway.yaml"), "-o", "json")))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Steps {
			if !known {
				if len(s.Platforms) > 0 {
					t.Fatalf("%s consists of %+v, which nobody can know here", s.ID, s.Platforms)
				}
				continue
			}
			if len(s.Platforms) != 1 || len(s.Platforms[0].Layers) != 2 || s.Platforms[0].Layers[1].By != "COPY main /main" {
				t.Fatalf("%s consists of %+v, want two layers, the second by COPY", s.ID, s.Platforms)
			}
		}
	}
	consists(here, true)

	there, other := fleet(t, host, 0o600, time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)), t.TempDir()
	mu.Lock()
	clear(asked)
	mu.Unlock()
	slipway("run", "-f", filepath.Join(there, "slipway.yaml"), "--state", other, "--progress", "quiet")
	if _, err := os.Stat(filepath.Join(other, "root")); err == nil {
		t.Error("a solver was started")
	}
	requests := func() {
		t.Helper()
		total := 0
		for path, n := range asked {
			if total += n; n > 1 {
				t.Errorf("%d requests for %s", n, path)
			}
		}
		if total != services+1 {
			t.Errorf("%d requests, want one for the base and one for each image: %d", total, services+1)
		}
		clear(asked)
	}
	requests()
	consists(there, false) // it was built elsewhere
	slipway("run", "-f", filepath.Join(here, "slipway.yaml"), "--state", state, "--progress", "quiet")
	requests()
	consists(here, true)

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

// TestTwoCommits builds forty services over one base of the same pipeline, then the next
// commit of them on another machine: another folder, umask, times and state. What
// the commit did not touch has the same key and digest, and is not built.
func TestTwoCommits(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a solver of our own in this process")
	}
	srv := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	defer srv.Close()
	host := srv.Listener.Addr().String()
	files := map[string]string{"README.md": "first\n", "base/Dockerfile": "FROM scratch\nCOPY base /base\n", "base/base": "base"}
	var names []string
	for i := range services {
		name := fmt.Sprintf("s%d", i)
		names = append(names, name)
		files[name+"/Dockerfile"], files[name+"/main"] = "FROM base\nCOPY main /main\n", name
	}
	files["slipway.yaml"] = "slipway: v1\nname: fleet\nstages:\n  base:\n    build: {context: base}\n  svc:\n    matrix: {svc: [" + strings.Join(names, ", ") +
		"]}\n    build: {context: \"${{ matrix.svc }}\", contexts: {base: \"${{ stages.base.image }}\"}, push: {repository: \"" + host + "/${{ matrix.svc }}\", tags: [\"${{ git.short }}\"]}}\n"

	git := func(dir string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	write := func(dir, name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	slipway := func(dir, state, command string, more ...string) string {
		t.Helper()
		var out, talk bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, env: func(string) (string, bool) { return "", false }}
		args := append([]string{command, "-f", filepath.Join(dir, "slipway.yaml"), "--state", state, "-o", "json"}, more...)
		if code := a.main(t.Context(), args); code != 0 {
			t.Fatalf("slipway %q: exit code %d\n%s%s", args, code, &talk, &out)
		}
		return out.String()
	}
	run := func(dir, state string) map[pipeline.ID]pipeline.ReleaseStep {
		t.Helper()
		var release pipeline.Release
		if err := json.Unmarshal([]byte(slipway(dir, state, "run", "--progress", "quiet")), &release); err != nil {
			t.Fatal(err)
		}
		steps := map[pipeline.ID]pipeline.ReleaseStep{}
		for _, s := range release.Steps {
			steps[s.ID] = s
		}
		return steps
	}

	one, state := t.TempDir(), t.TempDir()
	for name, text := range files {
		write(one, name, text)
	}
	git(one, "init", "-q", "-b", "main")
	git(one, "add", "-A")
	git(one, "commit", "-qm", "first")
	before := run(one, state)

	// The next commit is made elsewhere, by somebody whose files are his alone.
	old := syscall.Umask(0o077)
	two := filepath.Join(t.TempDir(), "somewhere", "else")
	git("/", "clone", "-q", one, two)
	syscall.Umask(old)
	write(two, "README.md", "second\n")
	write(two, "s7/main", "changed")
	git(two, "commit", "-qam", "second")
	plan := slipway(two, state, "plan") // what was built here last is known by stage, not by folder
	if strings.Count(plan, "reuse: ") != services-1 || !strings.Contains(plan, "build: file main changed") {
		t.Errorf("the plan is not about s7/main alone:\n%s", plan)
	}
	after := run(two, t.TempDir())

	key := func(s pipeline.ReleaseStep) string { return fmt.Sprint(s.Outputs["key"], s.Outputs["digest"]) }
	for _, name := range names {
		id := pipeline.ID("svc[" + name + "]")
		was, is := before[id], after[id]
		if was.Status != pipeline.StatusOK {
			t.Fatalf("%s was %+v; there are %d steps", id, was, len(before))
		}
		if same := key(was) == key(is); same == (name == "s7") {
			t.Errorf("%s: was %s, is %s", id, key(was), key(is))
		}
	}
}
