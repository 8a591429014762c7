package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) validate() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check the pipeline file, without a network",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := a.world()
			p, err := a.load(w.tools)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "%s is valid: %d stages\n", a.flags.file, len(p.Stages))
			return nil
		},
	}
	a.outputFlag(c)
	return a.fileFlags(c)
}
