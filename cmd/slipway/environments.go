package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/syntax"
)

func (a *app) environments() *cobra.Command {
	c := &cobra.Command{
		Use: "environments", Short: "Where runs may go, and which cluster each one is",
		RunE: func(*cobra.Command, []string) error {
			return usagef("what about the environments? (want slipway environments bind NAME)")
		},
	}
	c.AddCommand(a.bind())
	return c
}

func (a *app) bind() *cobra.Command {
	replace := false
	c := &cobra.Command{
		Use:   "bind NAME",
		Short: "Record in the file which cluster an environment is",
		Long: `Bind asks the cluster that the environment's context (or --context) points to
for its UID, and writes it into the pipeline file as the environment's
clusterUID. From then on no other cluster is written to, whatever the context
comes to mean. The rest of the file stays as it is, comments and all.`,
		Example:           `  slipway environments bind production --context prod-eu`,
		ValidArgsFunction: a.completeEnvironment,
		RunE: func(c *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return usagef("which environment? (want %s NAME)", c.CommandPath())
			case 1:
				return a.bindTo(c.Context(), args[0], replace)
			}
			return noArgs(c, args[1:])
		},
	}
	f := c.Flags()
	f.StringVarP(&a.flags.file, "file", "f", "slipway.yaml", "the pipeline file")
	f.StringVar(&a.flags.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	f.StringVar(&a.flags.context, "context", "", "context of the kubeconfig (default: that of the environment, or the current one)")
	f.BoolVar(&replace, "replace", false, "bind an environment to another cluster than before")
	return c
}

// bindTo writes into the file which cluster the environment called name is.
func (a *app) bindTo(ctx context.Context, name string, replace bool) error {
	f, err := openEdit(a.flags.file)
	if err != nil {
		return err
	}
	defer f.close()
	b, err := syntax.ReadBinding(a.flags.file, f.text, name)
	if err != nil {
		return usageError{err}
	}
	cluster := a.world().cluster
	cluster.Context = cmp.Or(a.flags.context, b.Context)
	uid, err := cluster.Identity(ctx)
	if err != nil {
		return err
	}
	server, err := cluster.Server(ctx)
	if err != nil {
		return err
	}
	switch {
	case b.ClusterUID == uid:
		fmt.Fprintf(a.stderr, "%s is bound already to %s, whose UID is %s\n", name, server, uid)
		return nil
	case b.ClusterUID != "" && !replace:
		return &deploy.ClusterError{Server: server, Doing: "bind " + name, Err: fmt.Errorf(
			"this cluster has the UID %s, but the environment is bound to %s (use the right --context, or --replace if it is to be this one)", uid, b.ClusterUID)}
	}
	text, err := b.Bind(uid)
	if err != nil {
		return err
	}
	if err := f.replace(text); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s is bound to %s, whose UID is %s: written to %s\n", name, server, uid, a.flags.file)
	return nil
}

// An edit is a file of the user's that is changed in place: whole or not at all.
type edit struct {
	root *os.Root
	name string
	mode fs.FileMode
	text []byte
}

// openEdit reads a file that is to be changed. A link is not followed: what it
// points to may be anybody's.
func openEdit(file string) (*edit, error) {
	fail := func(code string, err error) (*edit, error) {
		return nil, pipeline.ErrorList{{Pos: pipeline.Pos{File: file}, Code: code, Err: err}}
	}
	gone := errors.New("no such file (name the pipeline file with -f)")
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return fail("no-file", gone)
	}
	e := &edit{root: root, name: filepath.Base(file)}
	info, err := root.Lstat(e.name)
	code := "unreadable"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, err = "no-file", gone
	case err != nil:
	case info.Mode()&fs.ModeSymlink != 0:
		err = errors.New("is a link, which is not edited (name what it points to with -f)")
	case !info.Mode().IsRegular():
		err = errors.New("is no regular file")
	default:
		e.mode = info.Mode().Perm()
		e.text, err = e.read()
	}
	if err != nil {
		e.close()
		return fail(code, err)
	}
	return e, nil
}

func (e *edit) read() ([]byte, error) {
	f, err := e.root.Open(e.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// replace puts text in place of what was read, unless the file has changed.
func (e *edit) replace(text []byte) error {
	tmp := ".slipway-" + suffix() + "-" + e.name
	f, err := e.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close(), e.root.Chmod(tmp, e.mode))
	if now, changed := e.read(); err == nil && (changed != nil || !bytes.Equal(now, e.text)) {
		err = errors.New(e.name + " was changed by something else meanwhile (run it once more)")
	}
	if err == nil {
		err = e.root.Rename(tmp, e.name)
	}
	if err != nil {
		return errors.Join(err, e.root.Remove(tmp))
	}
	return nil
}

func (e *edit) close() { _ = e.root.Close() }

// completeEnvironment offers the names of environments to a shell.
func (a *app) completeEnvironment(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if p, err := a.load(a.world().tools); err == nil {
		for _, e := range p.Environments {
			names = append(names, e.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
