package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ci/slipway/buildkit/registry"
)

func TestMain(m *testing.M) {
	if code, played := playPart(); played {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){"slipway": main})
}

// TestScript runs the promises of the README that need no cluster and no root.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
			env.Setenv("KUBECONFIG", env.WorkDir+"/no-kubeconfig")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "cluster": cluster, "registry": serveRegistry},
	})
}

// exits runs a command and checks its exit code: "exits 3 slipway validate".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// serveRegistry serves a registry until the script ends: "registry VARIABLE" sets an
// environment variable to its host.
func serveRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: registry VARIABLE")
	}
	server := httptest.NewServer(&registry.Server{Dir: ts.MkAbs("registry-" + args[0])})
	ts.Defer(server.Close)
	ts.Setenv(args[0], strings.TrimPrefix(server.URL, "http://"))
}

// cluster writes a kubeconfig for clusters that know who they are, and nothing
// else: "cluster FILE CONTEXT=UID...". The first context is the current one.
func cluster(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: cluster FILE CONTEXT=UID...")
	}
	type entry map[string]any
	config := entry{"apiVersion": "v1", "kind": "Config", "users": []entry{{"name": "u", "user": entry{"token": "x"}}}}
	var clusters, contexts []entry
	for _, arg := range args[1:] {
		name, uid, _ := strings.Cut(arg, "=")
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Method != http.MethodGet || r.URL.Path != "/api/v1/namespaces/kube-system" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			fmt.Fprintf(w, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": %q}}`, uid)
		}))
		ts.Defer(srv.Close)
		clusters = append(clusters, entry{"name": name, "cluster": entry{"server": srv.URL}})
		contexts = append(contexts, entry{"name": name, "context": entry{"cluster": name, "user": "u"}})
		if config["current-context"] == nil {
			config["current-context"] = name
		}
	}
	config["clusters"], config["contexts"] = clusters, contexts
	text, err := json.Marshal(config)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}
