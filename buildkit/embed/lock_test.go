//go:build linux

package embed

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first := &Solver{}
	held, err := first.lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var waited []*buildkit.LockError
	second := &Solver{Wait: 120 * time.Millisecond, Waiting: func(e *buildkit.LockError) { waited = append(waited, e) }}
	_, err = second.lock(t.Context(), dir)
	var busy *buildkit.LockError
	if !errors.As(err, &busy) || busy.PID != os.Getpid() || busy.Dir != dir || time.Since(busy.Since) > time.Minute {
		t.Errorf("error: %v", err)
	}
	if len(waited) != 1 || waited[0].PID != os.Getpid() {
		t.Errorf("said that it waits: %v", waited)
	}

	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	patient := &Solver{Waiting: func(*buildkit.LockError) { cancel(why) }}
	if _, err := patient.lock(ctx, dir); !errors.Is(err, why) {
		t.Errorf("error: %v, want the cause", err)
	}

	// Whoever waits gets it as soon as it is free.
	freed := make(chan error)
	patient.Waiting = func(*buildkit.LockError) { go func() { freed <- held.release() }() }
	again, err := patient.lock(t.Context(), dir)
	if err := errors.Join(err, <-freed); err != nil {
		t.Fatal(err)
	}
	if err := again.release(); err != nil {
		t.Error(err)
	}
}

// A holder that was killed could not take its name away.
func TestLockAfterKill(t *testing.T) {
	dir := t.TempDir()
	s := &Solver{Wait: time.Second}
	held, err := s.lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	held.file.Close()
	held, err = s.lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := held.release(); err != nil {
		t.Error(err)
	}
}
