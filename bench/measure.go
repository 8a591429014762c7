package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Bench is what a scenario measures with.
type Bench struct {
	Bin     string // folder of what is not copied: the cluster, act
	Slipway string // path of the binary
	Peers   string // folder of the other tools
	Floor   string // folder of what does only what cannot be left out
	Dir     string // for files, empty at first
	Runs    int    // of each case, where one is short, and three times as many where it is very short
	Gate    bool   // the small form is wanted
	Log     io.Writer
	Report  *Report
	Hurry   time.Time // after this moment slow cases run less often; zero: never

	daemons []*Daemon
	last    []func() // to be called in the end
	groups  int
}

// A Case is one way to do a piece of work.
type Case struct {
	Name    string
	Args    []string // the program and its arguments
	Dir     string
	Env     []string      // beside the bench's own
	Stdout  string        // file that gets the output; default: it is shown when the case fails
	Reset   func() error  // before each run, not measured
	Check   func() error  // after each run, not measured
	Daemons []*Daemon     // that work for it: their costs are its costs
	Cold    bool          // there is nothing to warm up: the first run counts, too
	Most    time.Duration // what all runs may take together; default: 40 seconds
	Memory  int64         // bytes that the machine is made to hold before each run, see [given]
}

// Cost is what one run took of the machine: the command, all that it started, and
// the daemons that worked for it.
type Cost struct {
	Wall time.Duration `json:"wall"`
	CPU  time.Duration `json:"cpu"`
	Peak int64         `json:"peak"` // bytes of heaps and stacks, the most that the command and its daemons had at once
}

// short is a run of which there can be many, and has to be: what else the machine does is a
// large part of it.
const short = 300 * time.Millisecond

// Compare runs cases of the same work in turn, after one run of each that does not
// count, and adds their costs to the report. Of a case that is too long to be run
// twice, the one run counts.
func (b *Bench) Compare(ctx context.Context, work string, size int, cases ...Case) ([]*Series, error) {
	all := make([]*Series, len(cases))
	runs := make([]int, len(cases))
	groups := make([]*group, len(cases))
	most, part := 0, 1
	if !b.Hurry.IsZero() && time.Now().After(b.Hurry) {
		part = 4
	}
	for i, c := range cases {
		all[i] = &Series{Work: work, Size: size, Case: c.Name}
		groups[i] = b.group()
		defer groups[i].remove()
		first, err := b.cost(ctx, c, groups[i])
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", work, c.Name, err)
		}
		limit := cmp.Or(c.Most, 40*time.Second) / time.Duration(part)
		want := b.Runs
		if first.Wall < short {
			want *= 3
		}
		runs[i] = min(want, int(limit/max(first.Wall, time.Millisecond)))
		if c.Cold || runs[i] == 0 {
			runs[i] = max(0, runs[i]-1)
			all[i].Costs = append(all[i].Costs, first)
		}
		most = max(most, runs[i])
	}
	for round := range most {
		for i, c := range cases {
			if round >= runs[i] {
				continue
			}
			cost, err := b.cost(ctx, c, groups[i])
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", work, c.Name, err)
			}
			all[i].Costs = append(all[i].Costs, cost)
		}
	}
	for _, s := range all {
		fmt.Fprintf(b.Log, "  %s\n", s)
	}
	b.Report.Series = append(b.Report.Series, all...)
	return all, nil
}

// cost runs a case once.
func (b *Bench) cost(ctx context.Context, c Case, g *group) (Cost, error) {
	if c.Reset != nil {
		if err := c.Reset(); err != nil {
			return Cost{}, err
		}
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(b.Dir, "cache"))
	cmd.Env = append(cmd.Env, c.Env...)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if c.Stdout != "" {
		out, err := os.Create(c.Stdout)
		if err != nil {
			return Cost{}, err
		}
		defer out.Close()
		cmd.Stdout = out
	}
	if err := errors.Join(calm(ctx), given(c.Memory)); err != nil {
		return Cost{}, err
	}
	all := []*group{g}
	var before time.Duration
	for _, d := range c.Daemons {
		all = append(all, d.group)
		before += d.cpu()
	}
	before += g.cpu()
	peak := watchMemory(all)
	begin := time.Now()
	if err := g.start(cmd); err != nil {
		return Cost{}, err
	}
	err := cmd.Wait()
	cost := Cost{Wall: time.Since(begin), Peak: peak()}
	if err != nil {
		text := talk.Bytes()
		return Cost{}, fmt.Errorf("%w: %s", err, text[max(0, len(text)-2000):])
	}
	cost.CPU = g.cpu() - before
	if g == nil {
		cost.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	for _, d := range c.Daemons {
		cost.CPU += d.cpu()
	}
	if c.Check != nil {
		err = c.Check()
	}
	return cost, err
}
