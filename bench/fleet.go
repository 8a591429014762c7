package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	// What bake is for: all of them at once, by one client.
	var bake strings.Builder
	for i := range f.n {
		fmt.Fprintf(&bake, "target \"s%d\" {\n  context = \"services/s%d\"\n  output = [\"type=image,name=%s/bake%d%s/s%d:latest,push=true\"]\n  attest = []\n}\n", i, i, f.registry, f.n, suffix, i)
	}
	targets := make([]string, f.n)
	for i := range targets {
		targets[i] = fmt.Sprintf("%q", fmt.Sprintf("s%d", i))
	}
	fmt.Fprintf(&bake, "group \"default\" {\n  targets = [%s]\n}\n", strings.Join(targets, ", "))
	write("docker-bake.hcl", bake.String())
	return errors.Join(errs...)
}

// bake is the case of buildx, with a builder of its own: buildx lets it remember each
// build, and the more it remembers, the longer all take that build there.
func (f *fleet) bake(ctx context.Context) (Case, error) {
	builder, err := f.b.buildkitd(ctx, f.registry)
	if err != nil {
		return Case{}, err
	}
	name := fmt.Sprintf("bench%d", f.n)
	config := filepath.Join(f.b.Dir, "buildx")
	env := []string{"BUILDX_CONFIG=" + config, "BUILDX_NO_DEFAULT_ATTESTATIONS=1"}
	buildx := filepath.Join(f.b.Peers, "buildx")
	err = f.b.do(ctx, f.dir, append(append([]string{"env"}, env...), buildx, "create", "--name", name, "--driver", "remote", builder.addr)...)
	args := []string{buildx, "--builder", name, "bake", "--progress", "plain"}
	return Case{Name: "buildx bake", Args: args, Dir: f.dir, Env: env, Daemons: []*Daemon{builder.Daemon}}, err
}

// floor is the case of a program that only looks at what decides whether anything is built.
func (f *fleet) floor() Case {
	look := filepath.Join(f.b.Floor, "look")
	return Case{Name: "floor: look at all files, ask for all images", Args: []string{look, "slipway.yaml", "services", f.registry, fmt.Sprintf("ours%d%s", f.n, f.suffix)}, Dir: f.dir}
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
	var edited *Series
	for _, n := range sizes {
		f, err := b.fleet(ctx, n, registry, peer)
		if err != nil {
			return err
		}
		cases := f.cases()
		if !b.Gate && n <= 100 {
			bake, err := f.bake(ctx)
			if err != nil {
				return err
			}
			cases = append(cases, f.floor(), bake)
		}
		for _, c := range cases {
			if err := b.do(ctx, f.dir, append(append([]string{"env"}, c.Env...), c.Args...)...); err != nil {
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
			if len(s) > 2 {
				b.aim(fmt.Sprintf("wall for %d services, of buildx bake's", n), s[0].wall()/s[3].wall(), 0.05)
				b.aim(fmt.Sprintf("wall for %d services, of the floor's", n), s[0].wall()/s[2].wall(), 1.3)
			}
		}
		if n == 100 && !b.Gate {
			hundred = f
			if edited, err = f.edited(ctx, s[0]); err != nil {
				return err
			}
		}
	}
	if b.Gate {
		b.promise("CPU for 100 services, of buildctl's", ours[1].cpu()/theirs[1].cpu(), 0.1)
		b.promise("exponent of CPU, 10 to 100 services", exponent(ours[0], ours[1], (*Series).cpu), 1)
		return nil
	}
	b.aim("CPU per service, 1000 of 100", ours[2].cpu()/1000/(ours[1].cpu()/100), 1.15)
	b.note("Images were compared file by file; buildctl's differ in the times of files, which slipway sets to an epoch.")
	again, err := b.Compare(ctx, "one of 100 services edited, where 1,110 were built", 100, hundred.edits()...)
	if err != nil {
		return err
	}
	b.note("Where 1,110 services were built, one edit of a hundred takes %.2f of the time that it takes where 110 were.", again[0].wall()/edited.wall())
	return nil
}

// edits are the cases of P3: one file of a hundred services is changed.
func (f *fleet) edits() []Case {
	i := f.n / 2
	cases := f.cases()
	cases = append(cases, Case{
		Name: "buildctl, that service", Args: []string{"sh", "one.sh", fmt.Sprintf("s%d", i)},
		Dir: f.dir, Daemons: cases[1].Daemons,
	})
	for n := range cases {
		cases[n].Reset = func() error { return f.touch(i) }
	}
	return cases
}

// edited is P3. It returns what slipway takes.
func (f *fleet) edited(ctx context.Context, noop *Series) (*Series, error) {
	s, err := f.b.Compare(ctx, fmt.Sprintf("one of %d services edited", f.n), f.n, f.edits()...)
	if err != nil {
		return nil, err
	}
	f.b.aim("wall, of nothing to do + buildctl of that service", s[0].wall()/(noop.wall()+s[2].wall()), 1.3)
	f.b.aim("CPU, of nothing to do + buildctl of that service", s[0].cpu()/(noop.cpu()+s[2].cpu()), 1.3)
	return s[0], nil
}
