package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/registry"
)

// A base comes from the first mirror that has it, while planning and when it is
// built on, and from its own registry where none has.
func TestMirrors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a solver of our own in this process")
	}
	var mu sync.Mutex
	var asked []string
	serve := func(name, under string) (*registry.Server, string) {
		images := &registry.Server{Dir: t.TempDir()}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/team/base/") {
				mu.Lock()
				asked = append(asked, name)
				mu.Unlock()
			}
			r.URL.Path = strings.Replace(r.URL.Path, "/v2"+under+"/", "/v2/", 1)
			images.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		return images, srv.Listener.Addr().String()
	}
	origin, host := serve("origin", "")
	_, empty := serve("empty", "/none")
	mirror, near := serve("mirror", "/hub")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(mirrors string) (int, string) {
		mu.Lock()
		asked = nil
		mu.Unlock()
		write("app/Dockerfile", "FROM "+host+"/team/base:1\nCOPY Dockerfile /app\n")
		write("slipway.yaml", "slipway: v1\nname: mirrors\nregistries: {\""+host+"\": {mirrors: ["+mirrors+"]}}\nstages:\n  app:\n    build: {context: app, output: [{type: oci, path: app.tar}]}\n")
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) (string, bool) { return "", false }}
		code := a.main(t.Context(), []string{"run", "-f", filepath.Join(dir, "slipway.yaml"), "--state", t.TempDir(), "--rebuild", "--progress", "plain"})
		mu.Lock()
		defer mu.Unlock()
		return code, out.String()
	}
	if err := putBase(t.Context(), mirror, "of the mirror"); err != nil {
		t.Fatal(err)
	}
	down := "\"127.0.0.1:1\", \"" + empty + "/none\", "
	if code, out := run(down + "\"" + near + "/hub\""); code != 0 || !strings.Contains(strings.Join(asked, " "), "mirror") || strings.Contains(strings.Join(asked, " "), "origin") {
		t.Errorf("the mirror has it: exit code %d, asked %q\n%s", code, asked, out)
	}
	if err := putBase(t.Context(), origin, "of the origin"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "app.tar")); err != nil {
		t.Fatal(err)
	}
	if code, out := run(strings.TrimSuffix(down, ", ")); code != 0 || asked[0] != "empty" || !strings.Contains(strings.Join(asked, " "), "origin") {
		t.Errorf("no mirror has it: exit code %d, asked %q\n%s", code, asked, out)
	}
}
