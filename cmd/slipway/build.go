package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
)

func (a *app) build() *cobra.Command {
	c := &cobra.Command{
		Use:   "build [STAGE...]",
		Short: "Run the build stages, or those that are named, and what they need",
		RunE: func(c *cobra.Command, args []string) error {
			return a.runPlan(c.Context(), func(ctx context.Context, w *world) (*pipeline.Plan, error) {
				return a.planned(ctx, w, func(p *pipeline.Pipeline) ([]pipeline.ID, error) { return ofKind(p, "build", args) })
			})
		},
	}
	a.outputFlag(c, "json")
	return a.runFlags(a.planFlags(c))
}

// ofKind returns the stages of a kind, or those of them that are named.
func ofKind(p *pipeline.Pipeline, kind string, names []string) ([]pipeline.ID, error) {
	var found []pipeline.ID
	for _, st := range p.Stages {
		if st.Kind == kind && len(names) == 0 {
			found = append(found, st.ID)
		}
	}
	for _, n := range names {
		st := p.Stage(pipeline.ID(n))
		switch {
		case st == nil:
			return nil, usagef("no stage is called %q", n)
		case st.Kind != kind:
			return nil, usagef("stage %s is of kind %s, not %s", n, st.Kind, kind)
		}
		found = append(found, st.ID)
	}
	if len(found) == 0 {
		return nil, usagef("no stage is of kind %s", kind)
	}
	return found, nil
}
