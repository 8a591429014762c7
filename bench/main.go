// Command bench measures what slipway costs its users, beside the best other tools
// for the same work, on the same machine, in the same minutes: the runs of all are
// interleaved, so that a machine that gets slower is slower for all. Only ratios
// count, and only where the results were seen to be equal.
//
//	go run ./bench -slipway bin/slipway -peers bin/peers P2 P8
//
// Without names it runs every scenario. With -gate it runs small forms of some, and
// fails when costs grow faster than the work; it says nothing of milliseconds.
//
// # Owns
//
// Scenarios: what is measured, against what, and what is aimed at; how costs are
// counted ([Cost]); bench/results, with the table that docs/performance.md shows.
//
// # May touch
//
// The binaries it is given, a folder of its own for files, servers on loopback that
// it starts and ends, control groups of its own, and bench/results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Scenario is one piece of work, done by slipway and by others.
type Scenario struct {
	ID    string
	About string // the work, in a few words
	Gate  bool   // has a small form that guards growth
	Run   func(ctx context.Context, b *Bench) error
}

// scenarios returns all there are, in the order of the table.
func scenarios() []Scenario {
	return []Scenario{
		{ID: "validate", About: "check a pipeline file", Gate: true, Run: validate},
		{ID: "P1", About: "run a pipeline with nothing to do", Run: pipelines},
		{ID: "P2", About: "run with nothing to do; with one edit (P3)", Gate: true, Run: noops},
		{ID: "P4", About: "build what nobody has built", Run: cold},
		{ID: "P5", About: "build from 50,000 files", Run: contexts},
		{ID: "P6", About: "build and push 1 GiB", Run: layers},
		{ID: "P7", About: "push 100 images on one base", Run: shares},
		{ID: "P9", About: "apply 500 objects", Run: applies},
		{ID: "P10", About: "report that pods are ready", Run: lags},
		{ID: "P11", About: "name why a pod cannot start", Run: causes},
		{ID: "P12", About: "run trivial stages", Gate: true, Run: trivial},
		{ID: "P13", About: "show a long log without its secrets", Run: logs},
		{ID: "P14", About: "start", Run: starts},
		{ID: "P8", About: "render an overlay", Gate: true, Run: renders},
		{ID: "P15", About: "take 20 services from nothing to ready pods", Run: colds},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	slipway := flag.String("slipway", "bin/slipway", "the binary to measure")
	peers := flag.String("peers", "bin/peers", "folder of the other tools")
	floor := flag.String("floor", "bin/floor", "folder of what does only what cannot be left out (bench/floor)")
	results := flag.String("results", "bench/results", "folder that results are written to")
	runs := flag.Int("runs", 10, "how often each case runs, where one is short")
	within := flag.Duration("within", 55*time.Minute, "aim for the time of all: after two thirds of it, slow cases run less often")
	gate := flag.Bool("gate", false, "small forms, which fail when costs grow faster than the work")
	flag.Parse()
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &Bench{Runs: *runs, Gate: *gate, Log: os.Stderr, Hurry: time.Now().Add(*within * 2 / 3)}
	programs := filepath.Join(dir, "programs")
	if err := errors.Join(os.Mkdir(programs, 0o755), b.install(programs, *slipway, *peers, *floor)); err != nil {
		return fmt.Errorf("%w (make bench builds what is measured)", err)
	}
	known := scenarios()
	for _, id := range flag.Args() {
		if !slices.ContainsFunc(known, func(s Scenario) bool { return s.ID == id }) {
			return fmt.Errorf("no scenario called %q", id)
		}
	}
	var broken []string
	for _, s := range known {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), s.ID) || *gate && !s.Gate {
			continue
		}
		report, err := b.scenario(ctx, s, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", s.ID, err)
		}
		for _, v := range report.Verdicts {
			if v.Gate && !v.Met {
				broken = append(broken, s.ID+": "+v.String())
			}
		}
		if *gate {
			continue
		}
		if err := report.write(*results); err != nil {
			return err
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("promises are broken:\n  %s", strings.Join(broken, "\n  "))
	}
	if *gate {
		return nil
	}
	return table(*results)
}

// scenario runs one in a folder of its own.
func (b *Bench) scenario(ctx context.Context, s Scenario, dir string) (*Report, error) {
	own := *b
	own.Dir = filepath.Join(dir, s.ID)
	if err := os.Mkdir(own.Dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(own.Dir)
	own.Report = &Report{ID: s.ID, About: s.About, Machine: machine()}
	fmt.Fprintf(own.Log, "%s: %s\n", s.ID, s.About)
	defer own.end()
	if err := s.Run(ctx, &own); err != nil {
		return nil, err
	}
	return own.Report, nil
}
