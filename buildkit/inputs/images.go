package inputs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/slipway-ci/slipway/buildkit"
)

const scratch = "scratch"

// images returns the external images that the spec's target needs on any of its
// platforms, and the line that names each; and the one of them that it is built
// on, if it is the same on all. Its rules are those of BuildKit's
// dockerfile2llb, which cannot be asked without the images' own configuration.
// What an ONBUILD of a base brings is not seen; the base's digest stands for it.
func (d *dockerfile) images(spec buildkit.Spec, set platformSet) (_ map[string]int, base string, _ error) {
	contexts := map[string]bool{}
	for name := range spec.Contexts {
		contexts[familiar(name)] = true
	}
	images, bases := map[string]int{}, map[string]bool{}
	if ref, line := d.frontend(spec); slices.Contains(spec.Allow, ref) {
		images[ref] = line
	}
	for _, p := range set.targets {
		g := graph{dockerfile: d, contexts: contexts, images: images}
		if err := g.load(spec, set.builder, p); err != nil {
			return nil, "", err
		}
		target, err := g.target(spec.Target)
		if err != nil {
			return nil, "", err
		}
		if err := g.need(target); err != nil {
			return nil, "", err
		}
		bases[g.root(target)] = true
	}
	if len(bases) == 1 {
		for base = range bases {
		}
	}
	return images, base, nil
}

// frontend returns the image that a Dockerfile names to be read by, and the
// line. It is an input like any base, if the spec allows it.
func (d *dockerfile) frontend(spec buildkit.Spec) (string, int) {
	if arg := strings.Fields(spec.Args["BUILDKIT_SYNTAX"]); len(arg) > 0 {
		return arg[0], 0
	}
	ref, _, at, _ := parser.DetectSyntax(d.text)
	return ref, firstLine(at)
}

// A graph is the stages of a Dockerfile for one platform.
type graph struct {
	*dockerfile
	contexts map[string]bool // named contexts
	froms    []string        // by stage: its FROM with ARGs filled in
	base     []int           // by stage: the stage it is built on; -1 for an image
	names    map[string]int  // the last stage of each name
	seen     map[int]bool
	images   map[string]int // found so far
}

// load fills in the ARGs of every FROM and finds the stages that they name.
func (g *graph) load(spec buildkit.Spec, builder, target ocispecs.Platform) error {
	g.names, g.seen = map[string]int{}, map[int]bool{}
	stage := cmp.Or(spec.Target, g.stages[len(g.stages)-1].Name)
	env := platformArgs(builder, target, stage)
	for k := range env {
		if v, ok := spec.Args[k]; ok {
			env[k] = v
		}
	}
	lex := shell.NewLex(g.escape)
	expand := func(word string) (string, error) {
		word, _, err := lex.ProcessWord(word, environ(env))
		return word, err
	}
	for _, arg := range g.args {
		for _, kv := range arg.Args {
			if v, ok := spec.Args[kv.Key]; ok {
				env[kv.Key] = v
			} else if kv.Value != nil {
				v, err := expand(*kv.Value)
				if err != nil {
					return g.fault(firstLine(arg.Location()), err)
				}
				env[kv.Key] = v
			}
		}
	}
	for i, s := range g.stages {
		from, err := expand(s.BaseName)
		if err == nil && from == "" {
			err = fmt.Errorf("FROM %s names no image (give its ARG a value)", s.BaseName)
		}
		if err != nil {
			return g.fault(firstLine(s.Location), err)
		}
		base := -1
		if j, ok := g.names[from]; ok {
			base = j
		}
		g.froms, g.base = append(g.froms, from), append(g.base, base)
		if s.Name != "" {
			g.names[strings.ToLower(s.Name)] = i
		}
	}
	return nil
}

func (g *graph) target(name string) (int, error) {
	if name == "" {
		return len(g.stages) - 1, nil
	}
	i, ok := g.names[strings.ToLower(name)]
	if !ok {
		stages := slices.Sorted(maps.Keys(g.names))
		return 0, fmt.Errorf("%w %q in %s (target: is one of: %s)", ErrNoTarget, name, g.name, strings.Join(stages, ", "))
	}
	return i, nil
}

// root returns the image that a stage is built on; empty for scratch and for a
// named context.
func (g *graph) root(i int) string {
	for {
		if s := g.stages[i]; s.Name != "" && g.contexts[familiar(s.Name)] {
			return ""
		}
		if g.base[i] < 0 {
			break
		}
		i = g.base[i]
	}
	if from := g.froms[i]; from != scratch && !g.contexts[familiar(from)] {
		return from
	}
	return ""
}

// need adds the images of a stage and of all stages that it uses.
func (g *graph) need(i int) error {
	if g.seen[i] {
		return nil
	}
	g.seen[i] = true
	s := g.stages[i]
	if s.Name != "" && g.contexts[familiar(s.Name)] {
		return nil // the named context takes the stage's place
	}
	if g.base[i] >= 0 {
		if err := g.need(g.base[i]); err != nil {
			return err
		}
	} else if err := g.image(g.froms[i], firstLine(s.Location)); err != nil {
		return err
	}
	for _, cmd := range s.Commands {
		line := firstLine(cmd.Location())
		switch c := cmd.(type) {
		case *instructions.CopyCommand:
			if n, err := strconv.Atoi(c.From); err == nil {
				if n < 0 || n >= len(g.stages) {
					return g.fault(line, fmt.Errorf("--from=%d: there are %d stages, counted from 0", n, len(g.stages)))
				}
				if err := g.need(n); err != nil {
					return err
				}
			} else if err := g.use(c.From, line); err != nil {
				return err
			}
		case *instructions.RunCommand:
			for _, m := range instructions.GetMounts(c) {
				if err := g.use(m.From, line); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// use adds what a --from names: a stage, or an image.
func (g *graph) use(from string, line int) error {
	if from == "" {
		return nil
	}
	if i, ok := g.names[strings.ToLower(from)]; ok {
		return g.need(i)
	}
	return g.image(from, line)
}

// image adds an image, unless it is a named context.
func (g *graph) image(ref string, line int) error {
	if ref == scratch || g.contexts[familiar(ref)] {
		return nil
	}
	if _, err := reference.ParseNormalizedNamed(ref); err != nil {
		if strings.Contains(ref, "$") {
			err = errors.New("--from takes no variables (name a stage by FROM, which does)")
		}
		return g.fault(line, fmt.Errorf("image %q: %w", ref, err))
	}
	if _, ok := g.images[ref]; !ok {
		g.images[ref] = line
	}
	return nil
}

// familiar returns the name under which BuildKit looks for a named context.
func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return strings.TrimSuffix(reference.FamiliarString(named), ":latest")
}

// platformArgs returns the ARGs that BuildKit defines by itself.
func platformArgs(builder, target ocispecs.Platform, stage string) map[string]string {
	return map[string]string{
		"BUILDPLATFORM":   platforms.Format(builder),
		"BUILDOS":         builder.OS,
		"BUILDOSVERSION":  builder.OSVersion,
		"BUILDARCH":       builder.Architecture,
		"BUILDVARIANT":    builder.Variant,
		"TARGETPLATFORM":  platforms.FormatAll(target),
		"TARGETOS":        target.OS,
		"TARGETOSVERSION": target.OSVersion,
		"TARGETARCH":      target.Architecture,
		"TARGETVARIANT":   target.Variant,
		"TARGETSTAGE":     cmp.Or(stage, "default"),
	}
}

// environ is a map as the shell lexer wants it.
type environ map[string]string

func (e environ) Get(k string) (string, bool) { v, ok := e[k]; return v, ok }
func (e environ) Keys() []string              { return slices.Sorted(maps.Keys(e)) }
