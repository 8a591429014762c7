// Command bench measures what slipway costs its users: the CPU time of a command
// and of all that it starts, as medians of runs that are interleaved, so that a
// machine that gets slower is slower for all. It fails when a promise is broken.
//
//	go run ./bench -slipway bin/slipway
//
// # Owns
//
// Scenarios: what is measured, against what, and what may come of it.
//
// # May touch
//
// The slipway binary it is given, and a folder of its own for files.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

// A Case is one command that is measured beside others.
type Case struct {
	Name string
	Args []string // the program and its arguments
	Dir  string
}

// A Scenario is cases to compare, and what has to be true of their medians.
type Scenario struct {
	Name  string
	Make  func(slipway, dir string) ([]Case, error)
	Check func(cpu []time.Duration) error // medians, in the order of the cases
}

func main() {
	slipway := flag.String("slipway", "bin/slipway", "the binary to measure")
	runs := flag.Int("runs", 5, "how often each case runs")
	flag.Parse()
	for _, s := range []Scenario{validate()} {
		if err := measure(s, *slipway, *runs); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", s.Name, err)
			os.Exit(1)
		}
	}
}

// measure runs the cases of s in turn, prints their medians, and checks them.
func measure(s Scenario, slipway string, runs int) error {
	dir, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cases, err := s.Make(slipway, dir)
	if err != nil {
		return err
	}
	cpu := make([][]time.Duration, len(cases))
	for range runs {
		for i, c := range cases {
			cmd := exec.Command(c.Args[0], c.Args[1:]...)
			cmd.Dir = c.Dir
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c.Name, err, out)
			}
			// Of the process and of the children it waited for.
			cpu[i] = append(cpu[i], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	medians := make([]time.Duration, len(cases))
	fmt.Fprintf(os.Stdout, "%s (CPU time, median of %d)\n", s.Name, runs)
	for i, c := range cases {
		slices.Sort(cpu[i])
		medians[i] = cpu[i][runs/2]
		fmt.Fprintf(os.Stdout, "  %-16s %8.0f ms\n", c.Name, float64(medians[i])/float64(time.Millisecond))
	}
	return s.Check(medians)
}
