package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func series(work, name string, size int, cpus ...time.Duration) *Series {
	s := &Series{Work: work, Size: size, Case: name}
	for _, c := range cpus {
		s.Costs = append(s.Costs, Cost{Wall: 2 * c, CPU: c, Peak: 1e6})
	}
	return s
}

func TestSeries(t *testing.T) {
	odd := series("w", "c", 10, 3*time.Second, time.Second, 2*time.Second)
	if got := odd.cpu(); got != 2 {
		t.Errorf("median of three is %v (want 2)", got)
	}
	even := series("w", "c", 10, 4*time.Second, time.Second, 2*time.Second, 3*time.Second)
	if got := even.cpu(); got != 2.5 {
		t.Errorf("median of four is %v (want 2.5)", got)
	}
	if got := even.spread(cpu); got != 0.4 {
		t.Errorf("spread is %v (want (3-2)/2.5)", got)
	}
	small, large := series("w", "c", 10, time.Second), series("w", "c", 100, 100*time.Second)
	if got := exponent(small, large, (*Series).cpu); got < 1.999 || got > 2.001 {
		t.Errorf("exponent is %v (want 2)", got)
	}
}

func TestMarkdown(t *testing.T) {
	r := Report{
		ID: "P0", Series: []*Series{series("w", "slipway", 1, time.Second), series("w", "other", 1, 3*time.Second)},
		Verdicts: []Verdict{{What: "CPU, of other's", Got: 0.333, Most: 0.5, Met: true}, {What: "wall", Got: 2, Most: 1}},
	}
	text := markdown([]Report{r})
	for _, want := range []string{"| P0 | CPU, of other's | 0.333 | 0.5 | met |", "| **missed** |", "| P0 | w | other | 6 s ± 0 % | 3 s ± 0 % | 1 MB | 3 × | 1 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

// TestShapes sees that every graph has no circle and that all of it leads to its last node.
func TestShapes(t *testing.T) {
	for _, s := range shapes() {
		const n = 100
		reached := map[int]bool{n - 1: true}
		for i := n - 1; i >= 0; i-- {
			if !reached[i] {
				t.Errorf("%s: nothing needs %d", s.name, i)
			}
			for _, j := range s.needs(i, n) {
				if j >= i {
					t.Errorf("%s: %d needs %d", s.name, i, j)
				}
				reached[j] = true
			}
		}
	}
}

// TestCost counts the time of what a command starts and doesn't wait for, where
// control groups can be made, and that of what it waits for everywhere.
func TestCost(t *testing.T) {
	b := &Bench{Dir: t.TempDir(), Runs: 1, Log: t.Output(), Report: &Report{}}
	s, err := b.Compare(t.Context(), "spin", 1, Case{Name: "sh", Args: []string{"sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"}, Dir: b.Dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := s[0]; got.cpu() <= 0 || got.cpu() > 10 || got.peak() <= 0 {
		t.Errorf("cost is %v", got)
	}
	if _, err := b.Compare(t.Context(), "fail", 1, Case{Name: "sh", Args: []string{"sh", "-c", "echo why; exit 3"}}); err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("a case that fails is %v (want what it said)", err)
	}
}

// TestStop starts a server in control groups of its own, where there can be any, and ends it
// twice, as scenarios with a server for each round do.
func TestStop(t *testing.T) {
	b := &Bench{Dir: t.TempDir()}
	d, err := b.start(t.Context(), "sleep", func() error { return nil }, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	d.stop()
	b.end()
	if d.group == nil {
		return
	}
	for _, of := range []string{accounts, memories} {
		if _, err := os.Stat(filepath.Join(of, d.group.name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a control group is left: %v", err)
		}
	}
}

// TestInstall copies what is measured, as something that can be run.
func TestInstall(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	var errs []error
	for _, name := range []string{"slipway", "peers/other", "floor/least"} {
		path := filepath.Join(from, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\necho "+name+"\n"), 0o755)) //nolint:gosec // it is run
	}
	b := new(Bench)
	if err := errors.Join(append(errs, b.install(to, filepath.Join(from, "slipway"), filepath.Join(from, "peers"), filepath.Join(from, "floor")))...); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{b.Slipway: "slipway", filepath.Join(b.Peers, "other"): "peers/other", filepath.Join(b.Floor, "least"): "floor/least"} {
		if got, err := exec.Command(path).Output(); err != nil || strings.TrimSpace(string(got)) != want || !strings.HasPrefix(path, to) {
			t.Errorf("%s says %q, %v (want %q)", path, got, err, want)
		}
	}
	if b.Bin != from {
		t.Errorf("the rest is in %s (want %s)", b.Bin, from)
	}
	if err := new(Bench).install(t.TempDir(), filepath.Join(from, "none"), filepath.Join(from, "peers"), filepath.Join(from, "floor")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}

// TestGiven asks for memory, for none and for less than a page, and touches what is large,
// were it in huge pages.
func TestGiven(t *testing.T) {
	if available() <= 0 {
		t.Error("the machine has no memory")
	}
	const large, huge = 512 << 20, 2 << 20
	faults := func() int64 {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return used.Minflt
	}
	before := faults()
	for _, n := range []int64{0, 1, large} {
		if err := given(n); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if got := faults() - before; got < large/huge {
		t.Errorf("%d pages were touched (want %d or more)", got, large/huge)
	}
}

// TestCalm is interrupted.
func TestCalm(t *testing.T) {
	why := errors.New("that is enough")
	ctx, stop := context.WithCancelCause(t.Context())
	stop(why)
	if err := calm(ctx); !errors.Is(err, why) {
		t.Errorf("got %v (want %v)", err, why)
	}
	if busy() <= 0 {
		t.Error("the machine has never done anything")
	}
}
