package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestTwoRunsAtOnce starts a second run while the first one builds.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	as, r := ourselves(t), newRegistry(t)
	dir := as.write(t, appTree("ARG PAUSE", "RUN echo asleep-$((6*7)) && /bin/busybox sleep $PAUSE"))
	start := func(repository, pause string) *session {
		return call{Dir: dir, Env: []string{"REPOSITORY=" + r.host + "/" + repository}, Args: []string{"run", "--var", "pause=" + pause}}.start(t, as)
	}
	first := start("first", "2")
	first.says(asleep)
	second := start("second", "0")
	second.says(fmt.Sprintf("in use by process %d ", first.cmd.Process.Pid))
	select {
	case <-first.ended:
		t.Error("the first run ended before the second one waited: this test proves nothing")
	default:
	}
	first.end(time.Minute).want(t, 0).says(t, "first:latest@sha256:")
	second.end(time.Minute).want(t, 0).says(t, "second:latest@sha256:")
}

// TestInterruptedWhileWaiting ends a run that has not got the state folder yet.
func TestInterruptedWhileWaiting(t *testing.T) {
	t.Parallel()
	s := newSleeper(t, ourselves(t))
	first := s.start(t)
	second := call{Dir: s.dir, Env: s.env, Args: []string{"run"}}.start(t, s.as)
	second.says("in use by process")
	second.send(syscall.SIGINT)
	second.end(time.Minute).want(t, 130)
	if left := s.left(t); len(left) == 0 {
		t.Error("the first run is gone, too")
	}
	first.send(syscall.SIGINT)
	first.end(time.Minute).want(t, 130)
	if left := s.left(t); len(left) > 0 {
		t.Errorf("left at exit: %q", left)
	}
}
