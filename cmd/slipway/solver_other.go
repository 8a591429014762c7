//go:build !linux

package main

import (
	"context"
	"log/slog"
	"net"
	"runtime"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
)

// newSolver returns a solver that says that there is none on this system.
func newSolver(string, bool, []string, time.Duration, func(*buildkit.LockError), *slog.Logger) solver {
	return nowhere{}
}

type nowhere struct{}

func (nowhere) Dial(context.Context) (net.Conn, error) {
	return nil, &buildkit.HostError{What: "images are built on Linux, and this is " + runtime.GOOS, Cure: "build with --builder docker, or with the address of a buildkitd; validate, plan and deploy work without"}
}
func (nowhere) Close() error                       { return nil }
func (nowhere) know([]string, map[string][]string) {}

func playPart() (code int, played bool) { return 0, false }

// attempt tries nothing: there is nothing to try.
func attempt(context.Context, *host.Machine, string, bool) {}
