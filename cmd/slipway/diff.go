package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) diff() *cobra.Command {
	var b bare
	detailed := false
	c := &cobra.Command{
		Use:   "diff [STAGE...]",
		Short: "Compare what is deployed with what would be, field by field",
		Long: `Diff prints what the deploy stages, or those that are named, would change in the
cluster: each object, and each field with its value there and ours. It changes
nothing. Digests that a build has yet to give are not known; values of Secrets are
not shown. With -k it compares a folder, without a pipeline file.`,
		Example: `  slipway diff -e staging
  slipway diff -k deploy/overlays/staging -n shop`,
		RunE: func(c *cobra.Command, args []string) error {
			w := a.world()
			plan, err := a.compared(c.Context(), w, b, args)
			if err != nil {
				return err
			}
			if err := a.printDiff(plan); err != nil {
				return err
			}
			if detailed && plan.Effects() > 0 {
				return &toldError{code: exitChanges}
			}
			return nil
		},
	}
	b.flags(c)
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, fmt.Sprintf("exit with %d when there is something to change", exitChanges))
	a.outputFlag(c, "json", "markdown")
	a.fromFlag(c)
	a.stateFlag(c)
	return a.planFlags(c)
}

// compared plans, and keeps the deploys of the plan, or those that are named. A
// cluster that did not answer is an error: there is nothing to compare with.
func (a *app) compared(ctx context.Context, w *world, b bare, names []string) (*pipeline.Plan, error) {
	if b.kustomize != "" && len(names) > 0 {
		return nil, usagef("-k is for a folder without a pipeline file, and %s is a stage of one", names[0])
	}
	plan, err := a.rendered(ctx, w, b)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if !slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool { return s.Kind == "deploy" && string(s.ID.Stage()) == n }) {
			return nil, usagef("no stage called %q deploys", n)
		}
	}
	only := *plan
	only.Steps, only.Outputs, only.Release = nil, nil, ""
	for _, s := range plan.Steps {
		if s.Kind != "deploy" || s.Skip != "" || len(names) > 0 && !slices.Contains(names, string(s.ID.Stage())) {
			continue
		}
		if err := errors.Join(s.Unchecked...); err != nil {
			return nil, err
		}
		s.After = nil // of what is not shown
		only.Steps = append(only.Steps, s)
	}
	if len(only.Steps) == 0 {
		return nil, usagef("no stage deploys in this environment (want one of kind deploy)")
	}
	return &only, nil
}

func (a *app) printDiff(plan *pipeline.Plan) error {
	switch a.flags.output {
	case "json":
		return report.DiffJSON(a.mask(a.stdout), plan)
	case "markdown":
		return page.Markdown(a.mask(a.stdout), 0, page.Planned(plan))
	}
	return report.Diff(a.mask(a.stdout), plan)
}
