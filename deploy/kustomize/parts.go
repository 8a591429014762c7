package kustomize

import (
	"fmt"
	"os"

	"github.com/slipway-ci/slipway/deploy"
)

// Kustomize compares each object with every other, several times: what it costs grows
// with the square of their number. Most of that is to find out who refers to whom by
// name. So a tree is rendered in parts, by kustomize itself, where it is proven that
// the bytes are the same:
//
//   - Every field of every kustomization does to an object what it says, whatever
//     other objects there are ([provenFields]). For other fields nothing is proven.
//   - Objects that could have the same name anywhere on their way through the layers
//     are of one class, and a class is never divided: so no collision goes unnoticed.
//   - A reference is a scalar that equals a name. Beside its own classes a part gets
//     those which they, or what changes them, could refer to; of these the result is
//     thrown away, for what they refer to may be missing.
//   - A change that must find what it names goes where that is, and one that is for
//     nobody into one part, where it fails or does nothing as in the whole.
//
// Whatever is not understood, and any error, makes the tree be rendered as a whole, so
// errors are those of kustomize about the files of the user.

// A class is what shares names.
type class struct {
	into  *class // what it became a part of, or nil
	units []*unit
	names map[string]bool
	part  int // that it is rendered for
}

func (c *class) find() *class {
	for c.into != nil {
		c = c.into
	}
	return c
}

// A part is what kustomize is given at once.
type part struct {
	own  int // of units
	in   map[*class]bool
	size int // of units, those that are only referred to, too
}

// partSize is how many units a part is made for: with fewer, reading layers again and
// again costs more than is gained.
const partSize = 40

// A division is a tree in parts.
type division struct {
	*tree
	folder string
	byName map[string]*class
	parts  []*part
}

// divided divides the kustomization of a folder into parts of size units or a little
// more. Any error only says why that may not be done.
func (g *guard) divided(folder string, size int) (*division, error) {
	t, err := g.readTree(folder, 2*size)
	if err != nil {
		return nil, err
	}
	byName := t.classify()
	return &division{t, folder, byName, t.divide(byName, size)}, nil
}

// worthwhile reports whether parts cost less than the whole.
func (d *division) worthwhile() bool {
	cost := 0
	for _, p := range d.parts {
		cost += p.size * p.size
	}
	return cost < len(d.units)*len(d.units)/2
}

// render renders all parts. Any error only says why that may not be done.
func (d *division) render() ([]deploy.Object, error) {
	var own [][]placed
	for n, p := range d.parts {
		rendered, err := build(d.view(p), d.folder)
		if err != nil {
			return nil, err
		}
		var some []placed
		for _, r := range rendered {
			c := classOf(d.byName, r.GetName())
			if c == nil || !p.in[c] {
				return nil, fmt.Errorf("%s comes from nowhere", r.CurId())
			}
			if c.part != n {
				continue
			}
			o, err := place(r)
			if err != nil {
				return nil, err
			}
			some = append(some, o)
		}
		own = append(own, some)
	}
	all, err := merged(own)
	if err != nil {
		return nil, err
	}
	for _, l := range d.order {
		if warnings := l.spec.CheckDeprecatedFields(); warnings != nil {
			for _, w := range *warnings {
				fmt.Fprintln(os.Stderr, w)
			}
		}
	}
	return all, nil
}
