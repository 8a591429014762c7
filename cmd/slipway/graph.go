package main

import (
	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) graph() *cobra.Command {
	c := &cobra.Command{
		Use:   "graph",
		Short: "Show the stages and what each of them needs",
		Long: `Graph shows the stages in an order in which they could run, and what each of
them needs: a value of another stage, or only to come after it. It needs no
network. With -o mermaid or -o dot it draws them.`,
		Example: `  slipway graph -o mermaid              # for Markdown
  slipway graph -o dot | dot -Tsvg      # for Graphviz`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.load(a.world().tools)
			if err != nil {
				return err
			}
			draw := report.Graph
			switch a.flags.output {
			case "mermaid":
				draw = report.GraphMermaid
			case "dot":
				draw = report.GraphDOT
			}
			return draw(a.stdout, p)
		},
	}
	a.outputFlag(c, "mermaid", "dot")
	return a.fileFlags(c)
}
