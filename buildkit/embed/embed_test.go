//go:build linux

package embed

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/client"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestMain lets this binary be the children of its own solvers.
func TestMain(m *testing.M) {
	if code, ok := Child(); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// newSolver skips where nothing can build.
func newSolver(t *testing.T) *Solver {
	t.Helper()
	s := &Solver{State: t.TempDir()}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := s.Dial(t.Context())
	if host := new(buildkit.HostError); errors.As(err, &host) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return s
}

func TestDial(t *testing.T) {
	s := newSolver(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			conn, err := s.Dial(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			listWorkers(t, conn)
		})
	}
	wg.Wait()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := new(Solver).Close(); err != nil {
		t.Errorf("of what was not started: %v", err)
	}
}

func listWorkers(t *testing.T, conn net.Conn) {
	c, err := client.New(t.Context(), "", client.WithContextDialer(oneConn(conn)))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	workers, err := c.ListWorkers(t.Context())
	if err != nil || len(workers) != 1 || len(workers[0].Platforms) == 0 {
		t.Errorf("workers: %v, %v", workers, err)
	}
}

// Everything in the state folder is the solver's own.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	bundle := filepath.Join(root, "runc-overlayfs", "executor", "abc")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sweep(t.Context(), config{Root: root, Runc: "/bin/false"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bundle); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("bundle is still there: %v", err)
	}
}

func TestChildEnv(t *testing.T) {
	got := childEnv([]string{"PATH=/bin", "NPM_TOKEN=x", "https_proxy=p", "KUBECONFIG=k"}, "/root")
	want := []string{"XDG_RUNTIME_DIR=/root/run", "TMPDIR=/root/tmp", "PATH=/bin", "https_proxy=p"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSubordinate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(file, []byte("# ids\nother:1:2\n1000:3:4\nme:5:6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := subordinate(file, []string{"7", "me"}); got == nil || *got != (idRange{"5", "6"}) {
		t.Errorf("by name: %v", got)
	}
	if got := subordinate(file, []string{"1000", "nobody"}); got == nil || *got != (idRange{"3", "4"}) {
		t.Errorf("by id: %v", got)
	}
	if got := subordinate(file, []string{"nobody"}); got != nil {
		t.Errorf("for nobody: %v", got)
	}
}

func TestMendBundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	spec := `{"big":12345678901234567890,"mounts":[{"type":"devpts","options":["nosuid","gid=5"]},{"type":"tmpfs","options":["gid=5"]}]}`
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mendBundle(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"big":12345678901234567890,"mounts":[{"options":["nosuid"],"type":"devpts"},{"options":["gid=5"],"type":"tmpfs"}]}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiagnose(t *testing.T) {
	cause := os.ErrPermission
	err := diagnose(cause)
	var host *buildkit.HostError
	if !errors.As(err, &host) || host.Cure == "" || !errors.Is(err, cause) {
		t.Errorf("got %#v", err)
	}
	if again := diagnose(err); !errors.Is(again, err) {
		t.Errorf("diagnosed twice: %v", again)
	}
}

func TestRunc(t *testing.T) {
	state := t.TempDir()
	found, err := lookRunc()
	if err != nil {
		t.Skip(err)
	}
	cfg := config{State: state, Runc: found}
	path, err := cfg.runc()
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(path, state) != HasRunc() {
		t.Errorf("runs %s", path)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o555 != 0o555 {
		t.Errorf("%v, %v", info, err)
	}
	if again, err := cfg.runc(); err != nil || again != path {
		t.Errorf("%s, %v, want %s", again, err, path)
	}
}

// oneConn dials what is dialled already.
func oneConn(conn net.Conn) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) { return conn, nil }
}
