package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sleeper is a build that, at some point, sleeps in a RUN for as long as the var pause says.
type sleeper struct {
	as    *account
	dir   string
	env   []string
	pause string // a number that no other process has on its command line
}

const asleep = "app | asleep-42" // not in the Dockerfile as it is written, which is shown, too

func newSleeper(t *testing.T, as *account) *sleeper {
	tree := appTree("ARG PAUSE", "RUN echo asleep-$((6*7)) && /bin/busybox sleep $PAUSE")
	number := time.Now().UnixNano() % 1_000_000_000
	s := &sleeper{as, as.write(t, tree), []string{"REPOSITORY=" + newRegistry(t).host + "/app"}, fmt.Sprint(1_000_000_000 + number)}
	t.Cleanup(func() { // what slipway leaves must not outlive the test
		for pid, line := range commandLines(t) {
			if strings.Contains(line, "sleep "+s.pause) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return s
}

// start starts the build and returns when it sleeps.
func (s *sleeper) start(t *testing.T) *session {
	t.Helper()
	run := call{Dir: s.dir, Env: s.env, Args: []string{"run", "--var", "pause=" + s.pause}}.start(t, s.as)
	run.says(asleep)
	if left := s.left(t); len(left) == 0 {
		t.Fatal("nothing is seen of a build that runs: this test would prove nothing")
	}
	return run
}

// again runs the same build without the pause.
func (s *sleeper) again(t *testing.T) {
	t.Helper()
	call{Dir: s.dir, Env: s.env, Args: []string{"run"}}.start(t, s.as).end(time.Minute).want(t, 0)
}

// left is what is there of a build: processes, mounts in any namespace, temporary files, a lock.
func (s *sleeper) left(t *testing.T) []string {
	t.Helper()
	var found []string
	for pid, line := range commandLines(t) {
		if strings.Contains(line, s.pause) || strings.Contains(line, s.as.home) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, line))
		}
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			continue // it has just gone
		}
		for mount := range strings.Lines(string(mounts)) {
			if strings.Contains(mount, s.as.home) {
				found = append(found, fmt.Sprintf("mount of process %d: %s", pid, mount))
			}
		}
	}
	temporary, err := filepath.Glob(filepath.Join(s.as.home, "tmp", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, temporary...)
	locks, err := filepath.Glob(filepath.Join(s.as.home, "cache/slipway/*/buildkitd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range locks {
		if f, err := os.Open(name); err == nil {
			if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
				found = append(found, "lock "+name)
			}
			f.Close()
		}
	}
	return found
}

// gone fails the test unless nothing is left.
func (s *sleeper) gone(t *testing.T, limit time.Duration) {
	t.Helper()
	eventually(t, limit, func(context.Context) error {
		if left := s.left(t); len(left) > 0 {
			return errors.New("left:\n" + strings.Join(left, "\n"))
		}
		return nil
	})
}

// TestKilled kills slipway in the middle of a build and runs it again.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		t.Run(user.name, func(t *testing.T) {
			t.Parallel()
			s := newSleeper(t, user.make(t))
			run := s.start(t)
			run.send(syscall.SIGKILL)
			<-run.ended
			s.again(t)
			s.gone(t, time.Minute)
		})
	}
}

// TestInterrupted ends slipway in the middle of a build, as people and CI systems do.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, user := range users() {
		for _, test := range []struct {
			signal syscall.Signal
			code   int
		}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
			t.Run(user.name+" "+strconv.Itoa(test.code), func(t *testing.T) {
				t.Parallel()
				s := newSleeper(t, user.make(t))
				run := s.start(t)
				run.send(test.signal)
				got := run.end(time.Minute).want(t, test.code)
				if left := s.left(t); len(left) > 0 {
					t.Errorf("left at exit:\n%s", strings.Join(left, "\n"))
				}
				got.says(t, "interrupted")
				s.again(t)
			})
		}
	}
}
