package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/host"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// newSolver returns a solver of our own. What a build may ask of it, allow: says.
func newSolver(state string, isolated bool, plainHTTP []string, patience time.Duration, waiting func(*buildkit.LockError), log *slog.Logger) solver {
	return &ownSolver{&embed.Solver{State: state, Isolated: isolated, PlainHTTP: plainHTTP, Patience: patience, Waiting: waiting, Log: log, Entitlements: []string{"security.insecure"}}}
}

type ownSolver struct{ *embed.Solver }

func (s *ownSolver) know(plainHTTP []string, mirrors map[string][]string) {
	s.PlainHTTP, s.Mirrors = plainHTTP, mirrors
}

// playPart plays the part in which this binary was started by itself, if it was.
func playPart() (code int, played bool) { return embed.Child() }

// attempt tries what cannot be read: a user namespace, and a build.
func attempt(ctx context.Context, m *host.Machine, state string, trial bool) {
	if m.Runc = "embedded"; !embed.HasRunc() {
		m.Runc, _ = exec.LookPath("runc")
	}
	if !m.Admin {
		proc, err := embed.Try(ctx)
		m.Proc, m.Userns = proc, oneLine(err)
	}
	if trial && host.Program(m.Arch) != nil {
		m.Trial = tryBuild(ctx, m.Arch, state)
	}
}

// tryBuild runs a command in a container, with a state that is thrown away.
func tryBuild(ctx context.Context, arch, state string) *host.Trial {
	err := func() (err error) {
		dir, err := os.MkdirTemp("", "slipway-doctor-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // it is for temporary files
		for name, data := range map[string][]byte{
			"true":       host.Program(arch),
			"Dockerfile": []byte("FROM scratch\nCOPY true /true\nRUN [\"/true\"]\n"),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil { //nolint:gosec // one of them is run
				return err
			}
		}
		own := &embed.Solver{State: state, Isolated: true}
		b := &solve.Builder{Dial: own.Dial}
		defer func() { err = errors.Join(err, b.Close(), own.Close()) }()
		_, err = b.Build(ctx, buildkit.Spec{Context: dir}, nil)
		return err
	}()
	t := &host.Trial{Err: oneLine(err)}
	if e, ok := errors.AsType[*buildkit.HostError](err); ok {
		t.Cure = e.Cure
	}
	return t
}
