//go:build linux

package embed

import (
	"os"
	"path/filepath"
	"testing"
)

// An isolated solver waits for nobody, and leaves nothing.
func TestIsolated(t *testing.T) {
	first := newSolver(t)
	s := &Solver{State: first.State, Isolated: true}
	conn, err := s.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listWorkers(t, conn)
	states := func() []string {
		found, err := filepath.Glob(filepath.Join(first.State, isolatedPrefix+"*"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if len(states()) != 1 {
		t.Errorf("states while it runs: %v", states())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := states(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What a killed isolated run left goes away; what still runs stays.
func TestIsolatedIsSwept(t *testing.T) {
	state := t.TempDir()
	left, runs := filepath.Join(state, isolatedPrefix+"1", "root"), filepath.Join(state, isolatedPrefix+"2", "root")
	for _, dir := range []string{left, runs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "buildkitd.lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held, err := new(Solver).lock(t.Context(), runs)
	if err != nil {
		t.Fatal(err)
	}
	defer held.release()
	sweepIsolated(t.Context(), config{State: state, Root: filepath.Join(state, "root"), Runc: "true"})
	if _, err := os.Stat(filepath.Dir(left)); !os.IsNotExist(err) {
		t.Errorf("what was left is there still: %v", err)
	}
	if _, err := os.Stat(runs); err != nil {
		t.Errorf("what runs is gone: %v", err)
	}
}

func TestTry(t *testing.T) {
	if _, err := Try(t.Context()); err != nil {
		t.Log("this machine makes no user namespaces:", err)
	}
}
