package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// session is a call that may still run.
type session struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr transcript
	ended          chan struct{} // closed when the process is gone and its output read
}

// start starts the call as a user, nil being our own. The test ends it if nobody else does.
func (c call) start(t *testing.T, as *account) *session {
	t.Helper()
	bin, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, c.Args...)
	home := filepath.Join(folder(), "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}, c.Env...)
	if as != nil {
		cmd = as.command(t, c)
	}
	if c.Cluster != nil {
		cmd.Env = append(cmd.Env, "KUBECONFIG="+c.Cluster.kubeconfig)
	}
	if cmd.Dir = c.Dir; c.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Stdin = strings.NewReader(c.Stdin)
	return begin(t, cmd)
}

// begin starts a command, which the test ends if nobody else does.
func begin(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, cmd: cmd, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	s.cmd.WaitDelay = 10 * time.Second // whoever is left holds our pipes open
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGINT)
		timer := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
		defer timer.Stop()
		<-s.ended
	})
	return s
}

// says waits until the call has written words to stderr.
func (s *session) says(words string) {
	s.t.Helper()
	eventually(s.t, time.Minute, func(context.Context) error {
		if strings.Contains(s.stderr.String(), words) {
			return nil
		}
		select {
		case <-s.ended:
			s.t.Fatalf("it ended, exit code %d, and never said %q\nstderr:\n%s", s.cmd.ProcessState.ExitCode(), words, s.stderr.String())
		default:
		}
		return errors.New("has not said " + words + " but:\n" + s.stderr.String())
	})
}

// send sends a signal.
func (s *session) send(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// end waits until the call has ended by itself.
func (s *session) end(limit time.Duration) result {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(limit):
		s.t.Fatalf("still runs after %s\nstdout:\n%s\nstderr:\n%s", limit, s.stdout.String(), s.stderr.String())
	}
	return result{s.stdout.String(), s.stderr.String(), s.cmd.ProcessState.ExitCode()}
}

// transcript is output that can be read while it is written.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// says fails the test unless what slipway wrote holds each of the words.
func (r result) says(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(r.Stdout+r.Stderr, w) {
			t.Errorf("it does not say %q\nstdout:\n%s\nstderr:\n%s", w, r.Stdout, r.Stderr)
		}
	}
}
