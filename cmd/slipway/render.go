package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
)

func (a *app) render() *cobra.Command {
	var b bare
	refs, detailed := "", false
	c := &cobra.Command{
		Use:   "render [STAGE...]",
		Short: "Print manifests with the digests of images, and change nothing",
		Long: `Render prints what the deploy and render stages hand over. Digests that a
build has yet to give are zeros. With -k it renders a folder, without a pipeline file.

With --diff it prints how they differ from those of another commit, object by object
and field by field: what a pull request would deploy. That needs no cluster, no registry
and no credentials.`,
		Example: `  slipway render -e staging
  slipway render -e production --diff origin/main -o markdown`,
		RunE: func(c *cobra.Command, args []string) error {
			if refs != "" {
				return a.renderDiff(c.Context(), b, refs, args, detailed)
			}
			if a.flags.output != "text" || detailed {
				return usagef("without --diff, manifests are printed as YAML (leave out -o and --detailed-exitcode)")
			}
			w := a.world()
			plan, err := a.rendered(c.Context(), w, b)
			if err != nil {
				return err
			}
			return a.previews(plan, args)
		},
	}
	b.flags(c)
	c.Flags().StringVar(&refs, "diff", "", "print how the manifests differ from those of a `COMMIT`, or between two, A..B")
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, fmt.Sprintf("with --diff, exit with %d when they differ", exitChanges))
	a.outputFlag(c, "json", "markdown")
	return a.planFlags(c)
}

func (a *app) rendered(ctx context.Context, w *world, b bare) (*pipeline.Plan, error) {
	if b.kustomize != "" {
		return a.bare(ctx, w, b)
	}
	return a.planned(ctx, w, nil)
}

// previews prints what the named steps would hand over, or all that have something.
func (a *app) previews(plan *pipeline.Plan, names []string) error {
	wanted := map[pipeline.ID]bool{}
	for _, n := range names {
		if !slices.ContainsFunc(plan.Steps, func(s pipeline.Step) bool { return s.ID == pipeline.ID(n) && s.Preview != nil }) {
			return usagef("no stage called %q renders manifests", n)
		}
		wanted[pipeline.ID(n)] = true
	}
	printed := 0
	for _, s := range plan.Steps {
		if s.Preview == nil || len(wanted) > 0 && !wanted[s.ID] {
			continue
		}
		text, err := s.Preview()
		if err != nil {
			return err
		}
		if printed++; printed > 1 {
			fmt.Fprintln(a.stdout, "---")
		}
		if _, err := a.stdout.Write(text); err != nil {
			return err
		}
	}
	if printed == 0 {
		return usagef("no stage renders manifests (want one of kind deploy or render)")
	}
	return nil
}
