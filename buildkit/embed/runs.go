//go:build linux

package embed

import (
	"context"
	"sync"
	"time"

	"github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
)

// runs is an executor that is made when the first command runs, and knows when all of
// them are gone: a solve that is cancelled returns before they are.
type runs struct {
	open func() (executor.Executor, error)

	mu   sync.Mutex
	n    int
	idle chan struct{} // closed while n is zero
}

var _ executor.Executor = (*runs)(nil)

func newRuns(open func() (executor.Executor, error)) *runs {
	r := &runs{open: sync.OnceValues(open), idle: make(chan struct{})}
	close(r.idle)
	return r
}

// Run runs a command and counts it.
func (r *runs) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (rec resourcestypes.Recorder, err error) {
	r.add(1)
	defer r.add(-1)
	in, err := r.open()
	if err != nil {
		return nil, err
	}
	unmasked(func() { rec, err = in.Run(ctx, id, root, mounts, process, started) })
	return rec, err
}

// Exec runs a command beside one that runs.
func (r *runs) Exec(ctx context.Context, id string, process executor.ProcessInfo) error {
	in, err := r.open()
	if err != nil {
		return err
	}
	return in.Exec(ctx, id, process)
}

func (r *runs) add(d int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 {
		r.idle = make(chan struct{})
	}
	if r.n += d; r.n == 0 {
		close(r.idle)
	}
}

// wait returns when no command runs, or after d.
func (r *runs) wait(d time.Duration) {
	r.mu.Lock()
	idle := r.idle
	r.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
