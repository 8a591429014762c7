//go:build linux

package embed

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moby/sys/userns"

	"github.com/slipway-ci/slipway/buildkit"
)

// A Solver is a buildkitd of our own. Its fields are set before the first Dial;
// the zero value works. A process opens a state folder once: BuildKit remembers
// parts of it for as long as the process lives.
type Solver struct {
	State        string                    // folder for caches; empty means slipway in the user's cache folder
	Isolated     bool                      // use a state of its own below State, which Close removes; nothing is waited for
	PlainHTTP    []string                  // registries spoken to without TLS; those on loopback always are
	Mirrors      map[string][]string       // by host: where what a registry holds is looked for first
	Patience     time.Duration             // how long a registry may be silent, and GitHub's cache may take; zero means [buildkit.Patience]
	Entitlements []string                  // what a build may ask for besides the host's network, such as "security.insecure"
	Wait         time.Duration             // how long to wait while another process uses State; zero means until the context ends
	Waiting      func(*buildkit.LockError) // is called once if we have to wait; may be nil
	Log          *slog.Logger              // for developers; nil discards

	mu     sync.Mutex
	run    running // nil until the first Dial
	closed bool
}

// A running solver, in this process or in another.
type running interface {
	// dial returns a new connection to it.
	dial(ctx context.Context) (net.Conn, error)
	// close ends all builds and leaves nothing behind. It is called once.
	close() error
}

// Dial connects to the solver and starts it at the first call. It returns a
// *buildkit.HostError if this machine cannot build and a *buildkit.LockError if
// Wait was too short. The solver outlives ctx; Close ends it.
func (s *Solver) Dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.run == nil {
		run, err := s.start(ctx)
		if err != nil {
			return nil, err
		}
		s.run = run
	}
	return s.run.dial(ctx)
}

// Close ends the solver and gives the state folder free. It may be called
// again, and when nothing was started.
func (s *Solver) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.run == nil {
		return nil
	}
	run := s.run
	s.run = nil
	return run.close()
}

func (s *Solver) start(ctx context.Context) (running, error) {
	state, err := s.state()
	if err != nil {
		return nil, err
	}
	runc, err := lookRunc()
	if err != nil {
		return nil, err
	}
	cfg := config{State: state, Isolated: s.Isolated, Runc: runc, PlainHTTP: s.PlainHTTP, Mirrors: s.Mirrors, Patience: s.Patience, Entitlements: s.Entitlements, Debug: s.Log != nil}
	if s.Isolated {
		if state, err = isolate(state); err != nil {
			return nil, err
		}
	}
	if isAdmin() && !userns.RunningInUserNS() {
		return s.startHere(ctx, state, cfg)
	}
	return s.startChild(ctx, state, cfg)
}

// startHere runs the solver in this process.
func (s *Solver) startHere(ctx context.Context, state string, cfg config) (running, error) {
	cfg.Root = filepath.Join(state, "root")
	held, err := s.lock(ctx, cfg.Root)
	if err != nil {
		return nil, err
	}
	redirectLogs(s.Log)
	srv, err := startServer(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, held.release())
	}
	return &local{server: srv, lock: held}, nil
}

// local is a server in this process, with the lock it stands on.
type local struct {
	*server
	lock *lock
}

func (l *local) close() error { return errors.Join(l.server.close(), l.lock.release()) }

// state returns the state folder as an absolute path, and makes it.
func (s *Solver) state() (string, error) {
	dir := s.State
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "slipway")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

func (s *Solver) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
