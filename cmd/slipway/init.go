package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/pipeline/draft"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

func (a *app) init() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first pipeline file for this folder",
		Long: `Init looks at the folder and writes a small pipeline file with comments, to go
on from. It knows Dockerfiles, compose and skaffold files, and kustomizations.
It never overwrites a file.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return a.draft() },
	}
	c.Flags().StringVarP(&a.flags.file, "file", "f", "slipway.yaml", "the file to write; what lies in its folder is looked at")
	return c
}

// draft looks at the folder of the pipeline file, and writes it.
func (a *app) draft() error {
	dir, err := filepath.Abs(filepath.Dir(a.flags.file))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return usagef("%w (make the folder first)", err)
	}
	defer root.Close()
	name := filepath.Base(a.flags.file)
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return usagef("%s is there already (init never overwrites; name another file with -f, or remove it)", a.flags.file)
	}
	found, err := draft.Look(root.FS())
	if err != nil {
		return err
	}
	text := found.YAML(draft.Name(filepath.Base(dir)), syntax.SchemaURL)
	parser := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	if _, err := parser.Parse(a.flags.file, text); err != nil {
		return fmt.Errorf("the draft is not valid, which is a mistake of slipway: %s\n%s", err.Error(), text)
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usagef("%w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(name))
	}
	a.drafted(found)
	return nil
}

// drafted says what was found, and what to do next.
func (a *app) drafted(d *draft.Draft) {
	say := func(format string, args ...any) {
		fmt.Fprintln(a.stderr, report.Tame(fmt.Sprintf(format, args...)))
	}
	for _, b := range d.Builds {
		say("found %s: stage %s builds it", b.From, b.ID)
	}
	env := ""
	for _, dep := range d.Deploys {
		var names []string
		for _, e := range dep.Environments {
			names = append(names, e.Name)
		}
		if env == "" && len(names) > 0 {
			env = " -e " + names[0]
		}
		for i := range names {
			names[i] = dep.Dir + "/" + names[i]
		}
		if names == nil {
			names = []string{dep.Dir}
		}
		say("found kustomization %s: stage %s rolls it out", strings.Join(names, ", "), dep.ID)
	}
	for _, n := range d.Notes {
		say("note: %s", n)
	}
	if len(d.Builds)+len(d.Deploys) == 0 {
		say("found nothing to build or to roll out: wrote %s to start from", a.flags.file)
		say("next: put a Dockerfile beside it, then slipway plan")
		return
	}
	say("wrote %s", a.flags.file)
	file := ""
	if a.flags.file != "slipway.yaml" {
		file = " -f " + a.flags.file
	}
	say("next: read it, then slipway plan%s%s to see what a run would do", file, env)
	if len(d.Builds) > 0 {
		say("      slipway registry serve is a registry to try it with")
	}
}
