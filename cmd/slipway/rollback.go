package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/stages"
)

func (a *app) rollback() *cobra.Command {
	var to int
	var preview bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Make an earlier revision run again, and prove it",
		Long: `Rollback applies what the cluster remembers of an earlier revision: by default
the last that was proven before the newest. It needs no checkout and no pipeline
file. It checks that the registry still has the images, stays until it is proven
that they run, and says what cannot go back, such as what a Job did, or the data
of a volume. It is a new revision itself.`,
		Example: `  slipway rollback shop/rollout -n shop --preview   # what would change
  slipway rollback shop/rollout -n shop
  slipway rollback shop/rollout -n shop --to 7      # see slipway history`,
	}
	f := c.Flags()
	f.IntVar(&to, "to", 0, "the revision; 0 means the last that was proven before the newest")
	f.BoolVar(&preview, "preview", false, "print what would change, and change nothing")
	f.DurationVar(&timeout, "timeout", stages.DefaultTimeout, "how long workloads may take")
	a.onDeployment(c, func(ctx context.Context, _ *world, d kube.Deployment) error {
		make := func(ctx context.Context, w *world) (*pipeline.Plan, error) {
			body := &stages.Restore{Set: d.Set, To: to}
			return a.restoring(ctx, body.With(w.tools), timeout)
		}
		if !preview {
			return a.runPlan(ctx, make)
		}
		plan, err := make(ctx, a.world())
		if err != nil {
			return err
		}
		if a.flags.output == "json" {
			return report.PlansJSON(a.stdout, []*pipeline.Plan{plan})
		}
		return report.Plan(a.stdout, plan)
	})
	return a.runFlags(a.registryFlags(c))
}

// restoring plans a pipeline with one stage, which goes back.
func (a *app) restoring(ctx context.Context, body *stages.Restore, timeout time.Duration) (*pipeline.Plan, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	st := pipeline.Stage{ID: "rollback", Kind: "rollback", Policy: pipeline.Policy{Timeout: timeout}, Body: body}
	p := &pipeline.Pipeline{Name: body.Set.Pipeline, Dir: dir, Stages: []pipeline.Stage{st}}
	plan, err := new(engine.Planner).Plan(ctx, p, pipeline.Scope{Environment: pipeline.Environment{Name: body.Set.Environment}})
	var none *stages.NoRevisionError
	if errors.As(err, &none) {
		return nil, usagef("%w", none)
	}
	if err != nil {
		return nil, fmt.Errorf("plan the rollback: %w", err)
	}
	return plan, nil
}
