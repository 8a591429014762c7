package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) plan() *cobra.Command {
	detailed := false
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a run would do, and change nothing",
		Long: `Plan prints everything that a run would do. It needs neither cluster nor
registry: what could not be checked without them is listed. Without -e it plans
every environment of the file.`,
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
			}
			print := report.Plans
			if a.flags.output == "json" {
				print = report.PlansJSON
			}
			if err := print(a.mask(a.stdout), plans); err != nil {
				return err
			}
			if detailed && changes > 0 {
				return &toldError{code: exitChanges}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, fmt.Sprintf("exit with %d when there is something to change", exitChanges))
	a.outputFlag(c, "json")
	a.fromFlag(c)
	return a.planFlags(c)
}
