package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A single is one image that is built and pushed in several ways.
type single struct {
	b        *Bench
	registry string
	builder  *builder
	dir      string // of the context
	round    int
	zstd     bool
	many     bool // the context has many files: each round has a disk of its own
	free     func()
}

// single starts what it takes to build the context in dir, which is made.
func (b *Bench) single(ctx context.Context) (*single, error) {
	registry, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := b.buildkitd(ctx, registry)
	if err != nil {
		return nil, err
	}
	s := &single{b: b, registry: registry, builder: peer, dir: filepath.Join(b.Dir, "context")}
	return s, os.Mkdir(s.dir, 0o755)
}

// renew writes the scripts of all, for repositories and states that hold nothing.
func (s *single) renew() error {
	s.round++
	return s.write()
}

func (s *single) write() error {
	compression, flag := "gzip", ""
	if s.zstd {
		compression, flag = "zstd", ",compression=zstd,oci-mediatypes=true"
	}
	write := func(name, text string) error { return os.WriteFile(filepath.Join(s.b.Dir, name), []byte(text), 0o644) }
	return errors.Join(
		write("slipway.yaml", fmt.Sprintf("slipway: v1\nname: one\nstages: {one: {build: {context: context, compression: %s, push: {repository: %s, tags: [latest]}}}}\n", compression, s.repository("ours"))),
		write("ours.sh", fmt.Sprintf("XDG_CACHE_HOME=%[1]s/cache exec %[2]s run --progress plain --state %[1]s/state\n", s.state(), s.b.Slipway)),
		write("peer.sh", fmt.Sprintf("exec %s --addr %s build --progress plain --frontend dockerfile.v0 --local context=context --local dockerfile=context --output type=image,name=%s:latest,push=true%s\n",
			filepath.Join(s.b.Peers, "buildctl"), s.builder.addr, s.repository("theirs"), flag)),
		write("floor.sh", fmt.Sprintf("exec %s %s/floor context %s:latest\n", filepath.Join(s.b.Floor, "solve"), s.state(), s.repository("floor"))),
		write("buildah.sh", fmt.Sprintf("set -e\nbuildah='buildah --root %[1]s/buildah --runroot %[1]s/buildah-run --storage-driver overlay'\n"+
			"$buildah bud -q --isolation chroot --layers --tls-verify=false -t %[2]s:latest context\n$buildah push -q --tls-verify=false %[2]s:latest\n", s.state(), s.repository("buildah"))),
	)
}

func (s *single) repository(of string) string {
	return fmt.Sprintf("%s/%s-%d", s.registry, of, s.round)
}

// state is the folder for what slipway and buildah keep.
func (s *single) state() string { return filepath.Join(s.b.Dir, fmt.Sprintf("round%d", s.round)) }

// cases are slipway, buildctl and buildah. Those that are cold begin with no state
// and push to repositories that hold nothing; where there are many files, a floor is
// with them.
func (s *single) cases(ctx context.Context, cold bool) []Case {
	builders := []*Daemon{s.builder.Daemon}
	cases := []Case{
		{Name: "slipway", Args: []string{"sh", "ours.sh"}},
		{Name: "buildctl", Args: []string{"sh", "peer.sh"}, Daemons: builders},
		{Name: "buildah", Args: []string{"sh", "buildah.sh"}},
	}
	if cold && s.many {
		cases = append(cases, Case{Name: "floor: BuildKit in one process", Args: []string{"sh", "floor.sh"}})
	}
	for i := range cases {
		cases[i].Dir = s.b.Dir
		if !cold {
			continue
		}
		cases[i].Cold, cases[i].Memory = true, 3<<30
		cases[i].Reset = func() (err error) {
			_ = s.b.do(ctx, s.b.Dir, "umount", "-l", filepath.Join(s.state(), "buildah", "overlay")) // buildah mounts it on itself
			if !s.many {
				err = errors.Join(os.RemoveAll(s.state()), s.b.do(ctx, s.b.Dir, filepath.Join(s.b.Peers, "buildctl"), "--addr", s.builder.addr, "prune", "--all"))
				return errors.Join(err, s.renew())
			}
			s.builder.stop()
			s.free()
			if err := s.renew(); err != nil {
				return err
			}
			if s.free, err = s.b.disk(ctx, s.state()); err != nil || i != 1 {
				return err
			}
			if s.builder, err = s.b.buildkitd(ctx, s.registry, s.state()); err == nil {
				builders[0] = s.builder.Daemon
				err = s.write()
			}
			return err
		}
	}
	return cases
}

// contexts builds an image of 50,000 files: for the first time, with nothing changed,
// and with one file changed.
func contexts(ctx context.Context, b *Bench) error {
	const folders, each = 200, 250
	s, err := b.single(ctx)
	if err != nil {
		return err
	}
	s.many, s.free = true, func() {}
	defer func() { s.free() }()
	text := make([]byte, 1000)
	for i := range folders {
		dir := filepath.Join(s.dir, fmt.Sprintf("src/pkg%d", i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for j := range each {
			for k := range text {
				text[k] = "package for return\n"[(i*j+k)%19]
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.go", j)), fmt.Appendf(text, "// %d %d\n", i, j), 0o644); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "Dockerfile"), []byte("FROM scratch\nCOPY src /src/\n"), 0o644); err != nil {
		return err
	}
	first, err := b.Compare(ctx, "50,000 files, first", folders*each, s.cases(ctx, true)...)
	if err != nil {
		return err
	}
	s.free()
	if err := s.renew(); err != nil {
		return err
	}
	if s.free, err = b.disk(ctx, s.state()); err != nil {
		return err
	}
	if s.builder, err = b.buildkitd(ctx, s.registry, s.state()); err != nil {
		return err
	}
	warm := s.cases(ctx, false)
	if err := s.write(); err != nil {
		return err
	}
	for i, c := range warm {
		if err := b.do(ctx, c.Dir, c.Args...); err != nil {
			return err
		}
		warm[i].Cold = true // this was its warm-up
	}
	walk := Case{Name: "find (walk + lstat)", Args: []string{"find", "context", "-printf", "%s %T@ %i\n"}, Dir: b.Dir, Stdout: os.DevNull}
	unchanged, err := b.Compare(ctx, "50,000 files, unchanged", folders*each, append(warm, walk)...)
	if err != nil {
		return err
	}
	if err := sameImages(ctx, s.registry, fmt.Sprintf("ours-%d", s.round), fmt.Sprintf("theirs-%d", s.round)); err != nil {
		return err
	}
	edits := 0
	for i := range warm {
		warm[i].Reset = func() error {
			edits++
			return os.WriteFile(filepath.Join(s.dir, "src/pkg7/f7.go"), []byte(strings.Repeat("// one line more\n", edits)), 0o644)
		}
	}
	changed, err := b.Compare(ctx, "50,000 files, one changed", folders*each, warm...)
	if err != nil {
		return err
	}
	b.aim("wall, first, of buildctl's", first[0].wall()/first[1].wall(), 0.8)
	b.aim("CPU, first, of buildctl's", first[0].cpu()/first[1].cpu(), 0.8)
	b.aim("wall, unchanged, of buildctl's", unchanged[0].wall()/unchanged[1].wall(), 0.35)
	b.aim("CPU, unchanged, of walk + lstat", unchanged[0].cpu()/unchanged[3].cpu(), 2)
	b.aim("CPU, one changed, of buildctl's", changed[0].cpu()/changed[1].cpu(), 1)
	b.aim("wall, first, of the floor's", first[0].wall()/first[3].wall(), 1.3)
	b.aim("peak memory, first, of buildctl's and buildkitd's", first[0].peak()/first[1].peak(), 0.6)
	b.aim("peak memory, first, of the floor's", first[0].peak()/first[3].peak(), 1.3)
	return nil
}
