package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// call is one call of the slipway binary.
type call struct {
	Args    []string
	Dir     string   // "": a new empty folder
	Env     []string // added to PATH and a HOME of the run's own; nothing else is inherited
	Stdin   string
	Cluster *cluster // its kubeconfig; nil: none
}

// result is what a call left behind.
type result struct {
	Stdout, Stderr string
	Code           int // -1: killed
}

// run waits for the end of the call. A test that ends earlier interrupts it, as Ctrl-C would.
func (c call) run(t *testing.T) result {
	t.Helper()
	bin, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, c.Args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	home := filepath.Join(folder(), "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}, c.Env...)
	if c.Cluster != nil {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+c.Cluster.kubeconfig)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.Stdin), &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("slipway %s: %v", strings.Join(c.Args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// want fails the test, with all that slipway said, unless it exited with code.
func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.Code != code {
		t.Fatalf("exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", r.Code, code, r.Stdout, r.Stderr)
	}
	return r
}
