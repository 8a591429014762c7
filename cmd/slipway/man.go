package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// man writes the manual pages, for releases and packages. Its time is that of
// SOURCE_DATE_EPOCH (reproducible-builds.org), so that they are the same each time.
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Title: "SLIPWAY", Section: "1", Source: "slipway", Manual: "slipway"}
			if text, ok := a.env("SOURCE_DATE_EPOCH"); ok {
				seconds, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return usagef("SOURCE_DATE_EPOCH is %q (want seconds since 1970)", text)
				}
				date := time.Unix(seconds, 0).UTC()
				header.Date = &date
			}
			root := c.Root()
			root.DisableAutoGenTag = true // it has today's date
			return doc.GenManTree(root, header, args[0])
		},
	}
}
