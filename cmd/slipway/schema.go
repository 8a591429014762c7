package main

import (
	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of pipeline files, for editors",
		Long: `Schema prints the JSON Schema (draft 2020-12) of pipeline files. An editor with
a YAML language server completes keys and explains them, when the first line is

  # yaml-language-server: $schema=` + syntax.SchemaURL + `

or the path of a file that has what this command prints.`,
		Example: `  slipway schema > .slipway.schema.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := syntax.Schema(stages.Kinds(stages.Tools{}))
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}
