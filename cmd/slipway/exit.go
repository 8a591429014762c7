package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/stages"
)

// Exit codes. They are documented, and do not change.
const (
	exitOK          = 0
	exitBroken      = 1  // slipway itself is broken
	exitChanges     = 2  // changes are pending, with --detailed-exitcode
	exitUsage       = 3  // the file or the flags are wrong
	exitBuild       = 4  // a build or exec failed
	exitRegistry    = 5  // a registry, or a git repository, is down or refuses
	exitCluster     = 6  // a cluster is unreachable, forbids, or is not the one that is meant
	exitRollout     = 7  // a rollout failed
	exitRolledBack  = 8  // a rollout failed, and what ran before runs again
	exitVerify      = 9  // what runs does not do what it should
	exitStale       = 10 // a release or plan is missing or stale, or the cluster is no longer what the plan was made for, is to stay as it is, would lose what nobody approved, or an immutable tag is taken
	exitLocked      = 11 // something else holds the lock
	exitCannotBuild = 12 // this machine cannot build
	exitTimeout     = 124
	exitInterrupted = 130 // SIGINT
	exitTerminated  = 143 // SIGTERM
)

// What the engine calls errors that have no code of their own.
const (
	failedWhilePlanning = "cannot-plan"
	failedWhileRunning  = "failed"
)

// A usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef returns a usageError with a text as fmt.Errorf makes it.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitCode returns the code that says what err is about. The order matters:
// what stopped the run comes before what stopped because of it, and a registry
// that failed inside a build is the cause.
func exitCode(err error) int {
	var (
		signal   interrupted
		timeout  *engine.TimeoutError
		machine  *buildkit.HostError
		lock     *buildkit.LockError
		registry *buildkit.RegistryError
		git      *buildkit.GitError
		taken    *buildkit.HeldError
		solve    *buildkit.SolveError
		exit     *buildkit.ExitError
		job      *deploy.JobError
		rollout  *deploy.RolloutError
		cluster  *deploy.ClusterError
		object   *deploy.ObjectError
		conflict *deploy.ConflictError
		moved    *deploy.MovedError
		stale    *pipeline.StaleError
		verify   *stages.VerifyError
		back     *deploy.RolledBackError
		held     *deploy.HeldError
		risk     *deploy.RiskError
		locked   *deploy.LockedError
		lost     *deploy.LostError
		file     *pipeline.Error
		field    *pipeline.FieldError
		usage    usageError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &signal):
		return signal.code()
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &machine):
		return exitCannotBuild
	case errors.As(err, &lock), errors.As(err, &locked), errors.As(err, &lost):
		return exitLocked
	case errors.As(err, &stale), errors.As(err, &held), errors.As(err, &risk):
		return exitStale
	case errors.As(err, &verify):
		return exitVerify
	case errors.As(err, &back):
		return exitRolledBack
	case errors.As(err, &registry), errors.As(err, &git):
		return exitRegistry
	case errors.As(err, &solve) && host.IsFull(solve.Err): // the builder's disk, not what a command wrote to
		return exitBroken
	case errors.As(err, &solve), errors.As(err, &exit), errors.As(err, &job):
		return exitBuild
	case errors.As(err, &rollout):
		return exitRollout
	case errors.As(err, &object):
		if errors.As(err, &file) && file.Code == failedWhilePlanning && !errors.As(err, &conflict) {
			return exitUsage
		}
		return exitRollout
	case errors.As(err, &moved), errors.As(err, &taken):
		return exitStale
	case errors.As(err, &cluster):
		return exitCluster
	case errors.As(err, &timeout):
		return exitTimeout
	case errors.As(err, &usage), errors.As(err, &field):
		return exitUsage
	case errors.As(err, &file) && file.Code != failedWhileRunning:
		return exitUsage
	}
	return exitBroken
}
