package stagestest

import (
	"context"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/stages"
)

// keeper is the part of a World that locks deployments and remembers them.
type keeper struct{ *World }

var _ stages.Keeper = keeper{}

// Held implements [stages.Keeper].
func (k keeper) Held(context.Context, deploy.Set) error { return k.World.Held }

// Lock implements [stages.Keeper].
func (k keeper) Lock(ctx context.Context, _ deploy.Set, _ []deploy.Change, run deploy.Run, watch func(deploy.Status), do func(context.Context, stages.Turn) error) error {
	if k.World.Held != nil {
		return k.World.Held
	}
	if k.Locked != nil {
		return k.Locked
	}
	return do(ctx, &turn{world: k.World, run: run, watch: watch})
}

// Revisions implements [stages.Keeper].
func (k keeper) Revisions(_ context.Context, set deploy.Set) ([]deploy.Revision, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.history[set.String()]), nil
}

type turn struct {
	world *World
	run   deploy.Run
	watch func(deploy.Status)
	set   deploy.Set
}

// Apply implements [stages.Turn].
func (t *turn) Apply(ctx context.Context, set deploy.Set, planned []deploy.Change, restores int, _ func(context.Context, []deploy.Object) error) error {
	t.set = set
	t.world.mu.Lock()
	if t.world.history == nil {
		t.world.history = map[string][]deploy.Revision{}
	}
	before := t.world.history[set.String()]
	t.world.history[set.String()] = append([]deploy.Revision{{
		Number: len(before) + 1, State: deploy.StatePending, Set: set, Run: t.run, Restores: restores,
	}}, before...)
	t.world.mu.Unlock()
	return t.world.Apply(ctx, set, planned, t.watch)
}

// Conclude implements [stages.Turn].
func (t *turn) Conclude(_ context.Context, verdicts []deploy.Verdict, err error) error {
	t.world.mu.Lock()
	defer t.world.mu.Unlock()
	r := &t.world.history[t.set.String()][0]
	r.Verdicts, r.State = verdicts, deploy.StateProven
	if err != nil {
		r.State = deploy.StateFailed
	}
	return nil
}
