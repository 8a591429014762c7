package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

// runAll holds the run's folder and a leash on its clusters while the tests run.
func runAll(m *testing.M) int {
	if err := os.MkdirAll(folder(), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	lock, err := os.OpenFile(filepath.Join(folder(), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %s is in use by another run (set SLIPWAY_E2E_DIR): %v\n", folder(), err)
		return 1
	}
	defer lock.Close()
	code := m.Run()
	if err := clusters.release(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: taking the clusters down:", err)
		return 1
	}
	return code
}

// folder is where the run keeps its clusters. It is the same for every run, so that a run finds
// what an earlier one left.
func folder() string {
	if dir := os.Getenv("SLIPWAY_E2E_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("slipway-e2e-%d", os.Getuid()))
}

// binary returns the path of a program of ours, which must have been built.
func binary(env, name string) (string, error) {
	path := os.Getenv(env)
	if path == "" {
		path = filepath.Join("..", "bin", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", errors.Join(err, fmt.Errorf("build %s first, or set %s", name, env))
	}
	return path, nil
}
