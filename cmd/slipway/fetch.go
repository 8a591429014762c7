package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline/facts"
)

func (a *app) fetch() *cobra.Command {
	private := ""
	c := &cobra.Command{
		Use:   "fetch SOURCE DIR",
		Short: "Bring a tree to a new folder: from a git repository, or from a registry",
		Long: `Fetch is what the Jobs of slipway job begin with. SOURCE is the URL of a git
repository with #REF, or the reference of a tree that slipway job --apply has pushed.`,
		Example: `  slipway fetch https://github.com/acme/shop#main shop`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("what, and where to? (want %s SOURCE DIR)", c.CommandPath())
			}
			if private != "" { // what a volume hands down to folders in it would be in images
				if err := os.MkdirAll(private, 0o700); err != nil {
					return err
				}
				if err := os.Chmod(private, 0o700); err != nil {
					return err
				}
			}
			return a.bringTree(c.Context(), args[0], args[1])
		},
	}
	c.Flags().StringVar(&private, "private", "", "make this `FOLDER`, too, for the state of builds")
	return a.registryFlags(c)
}

// bringTree fetches a tree into a new folder.
func (a *app) bringTree(ctx context.Context, source, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return usagef("%s is there already (name a new folder)", dir)
	}
	if g, ok := buildkit.ParseGit(source); ok {
		if err := facts.Clone(ctx, g.URL, g.Ref, dir); err != nil {
			return &buildkit.GitError{URL: g.URL, Err: err}
		}
		return nil
	}
	packed, err := a.world().images.Artifact(ctx, source, treeType)
	if err != nil {
		return err
	}
	if err := unpackTree(packed, dir); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}
