package kustomize

import (
	"fmt"
	"slices"
)

// A carried unit goes through the layers with the names it may have by then.
type carried struct {
	*unit
	now []string
}

// maxNames bounds the names of one unit: each layer may double them.
const maxNames = 64

// carry notes which names units have on the way through l and the layers below it.
func (t *tree) carry(l *layer) ([]carried, error) {
	var all []carried
	own := func(u *unit) {
		c := carried{unit: u}
		for name := range u.names {
			c.now = append(c.now, name)
		}
		all = append(all, c)
	}
	for n, below := range l.below {
		if below != nil {
			inner, err := t.carry(below)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
			continue
		}
		for _, u := range t.files[l.files[n]] {
			own(u)
		}
	}
	for _, units := range l.units {
		for _, u := range units {
			own(u)
		}
	}
	l.bare = len(all) == 0
	for i := range all {
		c := &all[i]
		if !slices.Contains(c.above, l) {
			c.above = append(c.above, l)
		}
		for _, name := range c.now {
			for _, changed := range []string{l.spec.NamePrefix + name, name + l.spec.NameSuffix, l.spec.NamePrefix + name + l.spec.NameSuffix} {
				if !slices.Contains(c.now, changed) {
					c.now = append(c.now, changed)
				}
			}
		}
		if l.spec.Namespace != "" && slices.Contains(c.kinds, "Namespace") && !slices.Contains(c.now, l.spec.Namespace) {
			c.now = append(c.now, l.spec.Namespace)
		}
		if len(c.now) > maxNames {
			return nil, fmt.Errorf("%s may have too many names", c.now[0])
		}
		for _, name := range c.now {
			c.names[name] = true
		}
	}
	return all, nil
}
