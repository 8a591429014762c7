package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// trivial runs pipelines in which each stage does next to nothing, which is to write
// a file: what is left is what the engine costs. Beside it make and act run the same graph.
// What kustomize costs a stage is measured apart, with stages that are left out.
func trivial(ctx context.Context, b *Bench) error {
	sizes := []int{10, 100, 1000}
	if b.Gate {
		sizes = []int{100, 1000}
	}
	for _, shape := range shapes() {
		var ours, quiet []*Series
		for _, n := range sizes {
			dir := filepath.Join(b.Dir, fmt.Sprintf("%s-%d", shape.name, n))
			if err := shape.write(dir, n); err != nil {
				return err
			}
			rounds := 0
			clear := func() error { // nothing is removed: after that, files are made more slowly
				rounds++
				err := os.Rename(filepath.Join(dir, "out"), filepath.Join(dir, fmt.Sprintf("out%d", rounds)))
				if err != nil && !os.IsNotExist(err) {
					return err
				}
				return os.Mkdir(filepath.Join(dir, "out"), 0o755)
			}
			check := func() error {
				files, err := os.ReadDir(filepath.Join(dir, "out"))
				if err == nil && len(files) != n {
					err = fmt.Errorf("%d files were written (want %d)", len(files), n)
				}
				return err
			}
			work := fmt.Sprintf("%s of %d", shape.name, n)
			cases := []Case{
				{Name: "slipway", Args: []string{b.Slipway, "run", "--progress", "quiet"}, Dir: dir, Reset: clear, Check: check},
				{Name: "make -j2", Args: []string{"make", "-s", "-j2"}, Dir: dir, Reset: clear, Check: check},
				{Name: "slipway, stages left out", Args: []string{b.Slipway, "run", "--progress", "quiet", "-f", "left-out.yaml"}, Dir: dir},
			}
			if !b.Gate && n <= shape.act {
				cases = append(cases, b.act(dir, clear, check))
			}
			s, err := b.Compare(ctx, work, n, cases...)
			if err != nil {
				return err
			}
			ours, quiet = append(ours, s[0]), append(quiet, s[2])
		}
		first, last := ours[0], ours[len(ours)-1]
		each := func(s []*Series, of func(*Series) float64) float64 {
			return (of(s[len(s)-1]) - of(s[0])) / float64(last.Size-first.Size)
		}
		growth := exponent(ours[len(ours)-2], last, (*Series).cpu)
		if b.Gate {
			b.promise("exponent of CPU, "+shape.name, growth, 1.25)
			continue
		}
		b.aim("ms of CPU per stage, "+shape.name, 1e3*each(ours, (*Series).cpu), 2)
		b.aim("ms of CPU per stage, left out, "+shape.name, 1e3*each(quiet, (*Series).cpu), 2)
		b.aim("exponent of CPU, 100 to 1000, "+shape.name, growth, 1.1)
	}
	return nil
}

// act is the case of a workflow of GitHub Actions, a job for each stage, on this machine
// without containers. No job checks anything out: that would copy the folder each time.
func (b *Bench) act(dir string, reset, check func() error) Case {
	return Case{
		Name: "act", Dir: dir, Reset: reset, Check: check, Most: 20 * time.Second,
		Args: []string{
			filepath.Join(b.Bin, "act"), "workflow_dispatch", "--quiet", "-W", "workflow.yaml", "-P", "ubuntu-24.04=-self-hosted",
			"--no-cache-server", "--concurrent-jobs", "2", "--action-cache-path", filepath.Join(dir, "act"),
		},
		Env: []string{"ACT_DISABLE_VERSION_CHECK=1"},
	}
}

// A shape is a graph: it says which earlier nodes node i needs.
type shape struct {
	name  string
	act   int // the largest that act is given: of a chain of 1,000 it takes two minutes, and of diamonds it follows each path
	needs func(i, n int) []int
}

func shapes() []shape {
	return []shape{
		{"chain", 100, func(i, _ int) []int {
			if i == 0 {
				return nil
			}
			return []int{i - 1}
		}},
		{"fan", 100, func(i, n int) []int {
			switch i {
			case 0:
				return nil
			case n - 1:
				all := make([]int, 0, n)
				for j := 1; j < n-1; j++ {
					all = append(all, j)
				}
				return all
			}
			return []int{0}
		}},
		{"diamonds", 10, func(i, _ int) []int { // 0 ← 1, 2 ← 3 ← 4, 5 ← 6 …
			switch {
			case i == 0:
				return nil
			case i%3 == 0:
				return []int{i - 2, i - 1}
			}
			return []int{i - i%3}
		}},
	}
}

// write writes the graph for slipway, make and act.
func (s shape) write(dir string, n int) error {
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		return err
	}
	var file, out, rules, flow strings.Builder
	file.WriteString("slipway: v1\nname: bench\nstages:\n")
	out.WriteString("slipway: v1\nname: bench\nvars: {wanted: false}\nstages:\n")
	fmt.Fprintf(&rules, "all: out/s%d.yaml\n", n-1)
	flow.WriteString("on: workflow_dispatch\njobs:\n")
	for i := range n {
		var ids, targets []string
		for _, j := range s.needs(i, n) {
			ids, targets = append(ids, fmt.Sprintf("s%d", j)), append(targets, fmt.Sprintf("out/s%d.yaml", j))
		}
		needs := strings.Join(ids, ", ")
		fmt.Fprintf(&file, "  s%d: {needs: [%s], render: {kustomize: conf, to: out/s%d.yaml}}\n", i, needs, i)
		fmt.Fprintf(&out, "  s%d: {needs: [%s], if: vars.wanted, render: {kustomize: conf, to: out/s%d.yaml}}\n", i, needs, i)
		fmt.Fprintf(&flow, "  s%d: {needs: [%s], runs-on: ubuntu-24.04, steps: [{run: 'cp %s/conf/conf.yaml %s/out/s%d.yaml'}]}\n", i, needs, dir, dir, i)
		fmt.Fprintf(&rules, "out/s%d.yaml: %s\n\tcp conf/conf.yaml $@\n", i, strings.Join(targets, " "))
	}
	for name, text := range map[string]string{
		"slipway.yaml": file.String(), "left-out.yaml": out.String(), "Makefile": rules.String(), "workflow.yaml": flow.String(),
		"conf/kustomization.yaml": "resources: [conf.yaml]\n",
		"conf/conf.yaml":          "apiVersion: v1\ndata:\n  mode: fast\nkind: ConfigMap\nmetadata:\n  name: conf\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
