//go:build !linux

package main

import (
	"context"
	"log/slog"
	"net"
	"runtime"

	"github.com/slipway-ci/slipway/buildkit"
)

// newSolver returns a solver that says that there is none on this system.
func newSolver(string, []string, func(*buildkit.LockError), *slog.Logger) solver { return nowhere{} }

type nowhere struct{}

func (nowhere) Dial(context.Context) (net.Conn, error) {
	return nil, &buildkit.HostError{What: "images are built on Linux, and this is " + runtime.GOOS, Cure: "run slipway on Linux; validate, plan and deploy work here"}
}
func (nowhere) Close() error { return nil }

func playPart() (code int, played bool) { return 0, false }
