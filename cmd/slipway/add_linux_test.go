package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What ADD gets from a URL may lie elsewhere, but no server leads it to where clouds
// tell credentials.
func TestAddRedirected(t *testing.T) {
	if !alone(t) {
		return
	}
	away := landing(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/here", http.StatusFound)
		case "/here":
			_, _ = w.Write([]byte("content"))
		default:
			http.Redirect(w, r, "http://"+linkLocal+"/latest/credentials", http.StatusFound)
		}
	}))
	defer srv.Close()
	for path, want := range map[string]string{"/moved": "", "/away": "it leads to " + linkLocal + ", where no server may send us"} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"Dockerfile":   "FROM scratch\nADD " + srv.URL + path + " /file\n",
			"slipway.yaml": "slipway: v1\nname: add\nstages:\n  app:\n    build: {output: [{type: folder, path: out}]}\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, env: func(string) (string, bool) { return "", false }}
		code := a.main(t.Context(), []string{"run", "-f", filepath.Join(dir, "slipway.yaml"), "--state", filepath.Join(t.TempDir(), "state"), "--progress", "plain"})
		if (code == exitOK) != (want == "") || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d\n%s", path, code, &out)
		}
	}
	if n := away.Load(); n > 0 {
		t.Errorf("%d connections were made to %s", n, linkLocal)
	}
}
