package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) plan() *cobra.Command {
	detailed, save := false, ""
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a run would do, and change nothing",
		Long: `Plan prints everything that a run would do. It needs neither cluster nor
registry: what could not be checked without them is listed. Without -e it plans
every environment of the file. With -o html it is a page, with -o markdown a
comment for a pull request.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			w := a.world()
			p, err := a.load(w.tools)
			if err != nil {
				return err
			}
			envs := p.Environments
			if a.flags.environment != "" || len(envs) == 0 {
				env, err := a.chosen(p)
				if err != nil {
					return err
				}
				envs = []pipeline.Environment{env}
			}
			if save != "" && len(envs) > 1 {
				return usagef("a saved plan is for one environment (name it with -e: %s)", orNone(names(envs)))
			}
			changes := 0
			var plans []*pipeline.Plan
			for _, env := range envs {
				w := a.world() // one for each: environments may be in different clusters
				plan, err := a.planFor(c.Context(), w, p, env, nil)
				if err != nil {
					return err
				}
				changes += plan.Effects()
				plans = append(plans, plan)
				if save != "" {
					if err := a.savePlan(p, plan, save); err != nil {
						return err
					}
				}
			}
			if err := a.printPlans(plans); err != nil {
				return err
			}
			if detailed && changes > 0 {
				return &toldError{code: exitChanges}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, fmt.Sprintf("exit with %d when there is something to change", exitChanges))
	c.Flags().StringVar(&save, "save", "", "write the plan to a `FILE`, too, for run --plan")
	a.noPushFlag(c)
	a.outputFlag(c, "json", "markdown", "html")
	a.fromFlag(c)
	a.stateFlag(c)
	return a.planFlags(c)
}

// printPlans writes plans as --output says, and, in GitHub Actions, into the
// summary of the step.
func (a *app) printPlans(plans []*pipeline.Plan) error {
	switch a.flags.output {
	case "text":
		if err := report.Plans(a.mask(a.stdout), plans); err != nil {
			return err
		}
	case "json":
		if err := report.PlansJSON(a.mask(a.stdout), plans); err != nil {
			return err
		}
	}
	var reports []*page.Report
	for _, p := range plans {
		r, err := a.clean(page.Planned(p))
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	var err error
	switch a.flags.output {
	case "markdown":
		err = page.Markdown(a.stdout, 0, reports...)
	case "html":
		err = page.HTML(a.stdout, nil, reports...)
	}
	if told := a.summarize(reports...); told != nil {
		fmt.Fprintf(a.stderr, "warning: the summary of this step is missing: %v\n", told)
	}
	return err
}
