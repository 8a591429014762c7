package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/github"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/trace"
)

func (a *app) run() *cobra.Command {
	file := ""
	c := &cobra.Command{
		Use:   "run",
		Short: "Build, push, roll out, and prove what runs",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.checkHandover(); err != nil {
				return err
			}
			err := a.runPlan(c.Context(), func(ctx context.Context, w *world) (*pipeline.Plan, error) {
				if file != "" {
					return a.resumed(ctx, w, file)
				}
				return a.planned(ctx, w, nil)
			})
			return a.giveVerdict(err)
		},
	}
	c.Flags().StringVar(&file, "plan", "", "do what plan --save wrote to a `FILE`, or nothing if that is no longer what would be done")
	a.noPushFlag(c)
	a.handoverFlags(c)
	a.outputFlag(c, "json")
	a.fromFlag(c)
	return a.runFlags(a.planFlags(c))
}

// runPlan makes a plan, runs it, and keeps a record of the run.
func (a *app) runPlan(ctx context.Context, make func(context.Context, *world) (*pipeline.Plan, error)) (err error) {
	ui, err := a.sink()
	if err != nil {
		return err
	}
	w := a.world()
	defer func() { err = errors.Join(err, w.Close()) }()
	plan, err := make(ctx, w)
	if err != nil {
		return a.handOver(ctx, w, nil, err)
	}
	a.maskOnGitHub()
	if err := errors.Join(plan.Unchecked(), plan.Held()); err != nil {
		return a.handOver(ctx, w, nil, err)
	}
	if _, dirty := commit(plan.Scope); dirty && plan.Scope.Environment.Protected && !a.flags.noPush {
		return usagef("environment %s is protected, and the tree has changes that no commit holds (commit or remove them)", plan.Environment)
	}
	traced, err := trace.Start(ctx, a.env, plan, a.runID(), version)
	if err != nil {
		return usagef("%v", err)
	}
	rec, err := newRecord(a.runID(), plan, a.hide)
	if err != nil {
		fmt.Fprintf(a.stderr, "warning: %v\n", err)
		a.warnFull(pipeline.Event{Type: pipeline.EventWarning, Text: err.Error()})
	}
	defer rec.close()
	runner := engine.Runner{Parallel: a.flags.parallel, Turns: w.turns(), Sink: report.Mask(report.Tee(rec.sink, ui, a.warnFull, traced.Sink), a.secrets...)}
	res, err := runner.Run(ctx, plan)
	if told := traced.End(ctx); told != nil {
		fmt.Fprintf(a.mask(a.stderr), "warning: the trace of this run is not complete: %v\n", told)
	}
	if saved := rec.save(plan, res); err == nil {
		err = saved
	}
	if err == nil {
		err = a.publish(ctx, w, plan, rec.release)
	}
	err = a.handOver(ctx, w, rec.release, err)
	w.layouts(ctx, plan, rec)
	if told := rec.finish(err); told != nil {
		fmt.Fprintf(a.stderr, "warning: %v\n", told)
	}
	a.handToGitHub(rec)
	a.conclude(plan, rec)
	rec.report.FirstLast(err)
	return err
}

// conclude prints what came of the run: verdicts are what users came for, so
// they go to stdout, last.
func (a *app) conclude(plan *pipeline.Plan, rec *record) {
	out := a.mask(a.stdout)
	if a.concluded = true; a.flags.output == "json" {
		_ = report.ReleaseJSON(out, rec.release)
		return
	}
	report.Conclusion(out, plan, rec.release)
}

// sink returns where events go for the user to see.
func (a *app) sink() (pipeline.Sink, error) {
	mode := a.flags.progress
	if mode == "auto" || mode == "" {
		mode = "plain"
		if a.onTerminal() {
			mode = "tty"
		}
		if a.onGitHub() {
			mode = "github"
		}
	}
	switch mode {
	case "plain":
		return report.Plain(a.stderr), nil
	case "github":
		return report.Tee(github.Log(a.stderr), a.beside().Sink), nil
	case "rawjson":
		return report.JSON(a.stderr), nil
	case "quiet":
		return report.Quiet(a.stderr), nil
	case "tty":
		return report.TTY(a.stderr, a.size, a.colour()), nil
	}
	return nil, usagef("--progress %s%s (want auto, tty, plain, github, rawjson or quiet)", mode,
		pipeline.Nearest(mode, []string{"auto", "tty", "plain", "github", "rawjson", "quiet"}))
}

// onTerminal reports whether stderr is a terminal on which a view can be drawn,
// and nobody else writes there: developers read the log in between.
func (a *app) onTerminal() bool {
	f, ok := a.stderr.(*os.File)
	kind, _ := a.env("TERM")
	return ok && term.IsTerminal(int(f.Fd())) && kind != "dumb" && !a.flags.verbose
}

// size returns how many cells the terminal has, or zeroes.
func (a *app) size() (width, height int) {
	if f, ok := a.stderr.(*os.File); ok {
		width, height, _ = term.GetSize(int(f.Fd())) // none of a pipe
	}
	return width, height
}

// colour reports whether what is written may have colours.
//
// See https://no-color.org.
func (a *app) colour() bool {
	no, _ := a.env("NO_COLOR")
	return no == ""
}
