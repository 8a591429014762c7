//go:build linux

package embed

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/buildkit"
)

// lockPoll is how often a lock that is held is tried again; the kernel has no
// way to wait for one and for a context.
const lockPoll = 50 * time.Millisecond

// A lock keeps a state folder to one process. It lies on an open file, so it is
// gone when the last process that has the file open is, however it ended.
type lock struct {
	file   *os.File
	holder string // names the holder, for those who wait
	throw  string // a folder that is removed with it; empty for none
}

// A holder is what the file beside a lock says.
type holder struct {
	PID   int
	Since time.Time
}

// lock takes the lock on dir and makes dir. While it waits it says so once.
func (s *Solver) lock(ctx context.Context, dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.Isolated {
		others, err := lockIsolated(filepath.Dir(filepath.Dir(dir)))
		if err != nil {
			return nil, err
		}
		defer others.Close()
	}
	// The name is buildkitd's, so that the two exclude each other.
	file, err := os.OpenFile(filepath.Join(dir, "buildkitd.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	l := &lock{file: file, holder: filepath.Join(dir, "holder.json")}
	if s.Isolated {
		l.throw = filepath.Dir(dir)
	}
	if err := s.acquire(ctx, dir, l); err != nil {
		file.Close()
		return nil, err
	}
	if err := errors.Join(spend(dir), reserve(dir)); err != nil {
		return nil, errors.Join(err, l.release())
	}
	text, err := json.Marshal(holder{PID: os.Getpid(), Since: time.Now()})
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	if err := os.WriteFile(l.holder, text, 0o600); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

func (s *Solver) acquire(ctx context.Context, dir string, l *lock) error {
	if s.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Wait)
		defer cancel()
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	said := false
	for {
		err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || err != unix.EWOULDBLOCK && err != unix.EINTR {
			return err
		}
		busy := &buildkit.LockError{Dir: dir}
		var h holder
		if text, err := os.ReadFile(l.holder); err == nil && json.Unmarshal(text, &h) == nil {
			busy.PID, busy.Since = h.PID, h.Since
		}
		if !said {
			said = true
			s.log().Info("waiting for another process", "dir", dir, "pid", busy.PID)
			if s.Waiting != nil {
				s.Waiting(busy)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return busy
			}
			return context.Cause(ctx)
		}
	}
}

// release gives the folder free. The file stays: removing it would let two
// processes hold a lock of the same name.
func (l *lock) release() error {
	err := os.Remove(l.holder)
	if l.throw != "" {
		err = os.RemoveAll(l.throw)
	}
	return errors.Join(err, l.file.Close())
}
