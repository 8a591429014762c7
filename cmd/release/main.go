// Command release makes what a release of slipway consists of, in one folder:
// a static binary for each system, their checksums, an SBOM of what is linked
// into them, the notices that its licences ask for, completions for shells and
// manual pages. make release runs it; a workflow uploads the folder.
//
// # Owns
//
// The names of the files of a release, which action.yml relies on.
//
// # May touch
//
// The folder it is given, and the go command. The same commit gives the same
// files, on any machine with the same Go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stderr))
}

// run returns the exit code: 0, 1 when the release could not be made, 3 for wrong flags.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var r release
	flags.StringVar(&r.dir, "o", "dist", "the `folder` to fill; what it holds is removed")
	flags.StringVar(&r.version, "version", "", "the `version` that the binaries report")
	flags.Int64Var(&r.epoch, "epoch", 0, "`seconds` since 1970 of the commit that is released")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || r.version == "" || r.epoch == 0 {
		fmt.Fprintln(stderr, "release: want --version and --epoch, and no arguments")
		return 3
	}
	if err := r.make(ctx); err != nil {
		fmt.Fprintln(stderr, "release:", err)
		return 1
	}
	fmt.Fprintf(stderr, "%s holds slipway %s\n", r.dir, r.version)
	return 0
}

// A release is one version, and the folder its files go to.
type release struct {
	dir     string
	version string
	epoch   int64 // time of the commit, in seconds since 1970
}

func (r *release) make(ctx context.Context) error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	var binaries []string
	for _, t := range targets() {
		name, err := r.build(ctx, t)
		if err != nil {
			return err
		}
		binaries = append(binaries, name)
	}
	linked, err := linkedInto(r.dir, binaries)
	if err != nil {
		return err
	}
	if err := r.sbom(binaries, linked); err != nil {
		return err
	}
	if err := r.notices(ctx, linked); err != nil {
		return err
	}
	if err := r.pages(ctx); err != nil {
		return err
	}
	return r.checksums()
}

// created returns the time of the commit, as documents have it.
func (r *release) created() string { return time.Unix(r.epoch, 0).UTC().Format(time.RFC3339) }

func (r *release) path(name string) string { return filepath.Join(r.dir, name) }
