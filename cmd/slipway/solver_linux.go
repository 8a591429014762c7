package main

import (
	"log/slog"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/embed"
)

// newSolver returns a solver of our own.
func newSolver(state string, plainHTTP []string, waiting func(*buildkit.LockError), log *slog.Logger) solver {
	return &embed.Solver{State: state, PlainHTTP: plainHTTP, Waiting: waiting, Log: log}
}

// playPart plays the part in which this binary was started by itself, if it was.
func playPart() (code int, played bool) { return embed.Child() }
