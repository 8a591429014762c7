package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A fleet is a folder with services that share a base image, and what builds them.
type fleet struct {
	b        *Bench
	dir      string
	n        int
	registry string
	builder  *builder // of the peer
	suffix   string   // of repositories
}

// fleet writes n services, and pushes the base image that they share.
func (b *Bench) fleet(ctx context.Context, n int, registry string, peer *builder) (*fleet, error) {
	f := &fleet{b: b, dir: filepath.Join(b.Dir, fmt.Sprintf("fleet%d", n)), n: n, registry: registry, builder: peer}
	var errs []error
	write := func(name, text string) {
		path := filepath.Join(f.dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	write("base/Dockerfile", "FROM scratch\nCOPY base /base\n")
	write("base/base", "what all have in common\n")
	write("base.yaml", fmt.Sprintf("slipway: v1\nname: base\nstages: {base: {build: {context: base, push: {repository: %s/base, tags: [\"1\"]}}}}\n", registry))
	for i := range n {
		write(fmt.Sprintf("services/s%d/Dockerfile", i), "FROM "+registry+"/base:1\nCOPY main conf /app/\nENV NAME=app\n")
		write(fmt.Sprintf("services/s%d/main", i), fmt.Sprintf("the program of service %d\n", i))
		write(fmt.Sprintf("services/s%d/conf/app.conf", i), "mode = fast\n")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f, errors.Join(f.write(""), b.do(ctx, f.dir, f.slipway("base.yaml")...))
}

// write writes what builds the services, into repositories whose names end in a suffix.
func (f *fleet) write(suffix string) error {
	f.suffix = suffix
	var errs []error
	write := func(name, text string) {
		errs = append(errs, os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644))
	}
	write("slipway.yaml", fmt.Sprintf(`slipway: v1
name: fleet
stages:
  svc:
    matrix: {svc: "${{ dirs('services/*') }}", max: 1000}
    build: {context: "services/${{ matrix.svc }}", push: {repository: "%s/ours%d%s/${{ matrix.svc }}", tags: [latest]}}
`, f.registry, f.n, suffix))
	// What people write: as many at once as -P says, each with its own client.
	write("build.sh", "ls services | xargs -P8 -I{} sh ./one.sh {}\n")
	write("one.sh", fmt.Sprintf("exec %s --addr %s build --progress plain --frontend dockerfile.v0 --local context=services/$1 --local dockerfile=services/$1 --output type=image,name=%s/theirs%d%s/$1:latest,push=true\n",
		filepath.Join(f.b.Peers, "buildctl"), f.builder.addr, f.registry, f.n, suffix))
	return errors.Join(errs...)
}

func (f *fleet) slipway(file string) []string {
	return []string{f.b.Slipway, "run", "--progress", "plain", "--state", filepath.Join(f.b.Dir, "state"), "-f", file}
}

func (f *fleet) cases() []Case {
	return []Case{
		{Name: "slipway", Args: f.slipway("slipway.yaml"), Dir: f.dir},
		{Name: "buildctl × 8", Args: []string{"sh", "build.sh"}, Dir: f.dir, Daemons: []*Daemon{f.builder.Daemon}},
	}
}

// same compares the images of some services.
func (f *fleet) same(ctx context.Context) error {
	for _, i := range []int{0, f.n / 2, f.n - 1} {
		if err := sameImages(ctx, f.registry, fmt.Sprintf("ours%d%s/s%d", f.n, f.suffix, i), fmt.Sprintf("theirs%d%s/s%d", f.n, f.suffix, i)); err != nil {
			return err
		}
	}
	return nil
}

// touch changes a file of service i.
func (f *fleet) touch(i int) error {
	return os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("services/s%d/main", i)), fmt.Appendf(nil, "the program of service %d, of %s\n", i, time.Now()), 0o644)
}

// noops runs pipelines that have nothing to do, and in the end one of a hundred
// services of which one was edited.
func noops(ctx context.Context, b *Bench) error {
	registry, err := b.registry(ctx)
	if err != nil {
		return err
	}
	peer, err := b.buildkitd(ctx, registry)
	if err != nil {
		return err
	}
	sizes := []int{10, 100, 1000}
	if b.Gate {
		sizes = []int{10, 100}
	}
	var ours, theirs []*Series
	var hundred *fleet
	for _, n := range sizes {
		f, err := b.fleet(ctx, n, registry, peer)
		if err != nil {
			return err
		}
		cases := f.cases()
		for _, c := range cases {
			if err := b.do(ctx, f.dir, c.Args...); err != nil {
				return err
			}
		}
		s, err := b.Compare(ctx, fmt.Sprintf("nothing to do, %d services", n), n, cases...)
		if err != nil {
			return err
		}
		if err := f.same(ctx); err != nil {
			return err
		}
		ours, theirs = append(ours, s[0]), append(theirs, s[1])
		if !b.Gate {
			b.aim(fmt.Sprintf("wall for %d services, of buildctl's", n), s[0].wall()/s[1].wall(), 0.05)
		}
		if n == 100 {
			hundred = f
		}
	}
	if b.Gate {
		b.promise("CPU for 100 services, of buildctl's", ours[1].cpu()/theirs[1].cpu(), 0.1)
		b.promise("exponent of CPU, 10 to 100 services", exponent(ours[0], ours[1], (*Series).cpu), 1)
		return nil
	}
	b.aim("CPU per service, 1000 of 100", ours[2].cpu()/1000/(ours[1].cpu()/100), 1.15)
	b.note("Images were compared file by file; buildctl's differ in the times of files, which slipway sets to an epoch.")
	return hundred.edited(ctx, ours[1])
}

// edited is P3: one file of a hundred services is changed.
func (f *fleet) edited(ctx context.Context, noop *Series) error {
	i := f.n / 2
	cases := f.cases()
	cases = append(cases, Case{
		Name: "buildctl, that service", Args: []string{"sh", "one.sh", fmt.Sprintf("s%d", i)},
		Dir: f.dir, Daemons: cases[1].Daemons,
	})
	for n := range cases {
		cases[n].Reset = func() error { return f.touch(i) }
	}
	s, err := f.b.Compare(ctx, fmt.Sprintf("one of %d services edited", f.n), f.n, cases...)
	if err != nil {
		return err
	}
	f.b.aim("wall, of nothing to do + buildctl of that service", s[0].wall()/(noop.wall()+s[2].wall()), 1.3)
	f.b.aim("CPU, of nothing to do + buildctl of that service", s[0].cpu()/(noop.cpu()+s[2].cpu()), 1.3)
	return nil
}
