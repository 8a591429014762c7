package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) validate() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check the pipeline file, without a network",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			w := a.world()
			p, err := a.load(w.tools)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "%s is valid: %s\n", a.flags.file, report.Count(len(p.Stages), "stage"))
			return nil
		},
	}
	a.outputFlag(c, "json")
	return a.fileFlags(c)
}
