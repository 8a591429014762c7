package syntax

import (
	"fmt"
	"reflect"

	"gopkg.in/yaml.v3"
)

// anything decodes mappings, lists and scalars of any shape into an interface, with
// the types that YAML gives them. Expressions may stand in any of its texts; they
// must be known while planning, and one that is all of a text keeps its type.
func (d *decoder) anything(n *yaml.Node, v reflect.Value, path string, h hint) {
	if got := d.branch(n, path, h); got != nil {
		v.Set(reflect.ValueOf(got))
	}
}

func (d *decoder) branch(n *yaml.Node, path string, h hint) any {
	n = resolve(n)
	d.note(path, n)
	switch n.Kind {
	case yaml.MappingNode:
		body := make(map[string]any, len(n.Content)/2)
		d.pairs(n, func(key, val *yaml.Node) {
			body[key.Value] = d.branch(val, join(path, key.Value), h)
		})
		return body
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, c := range n.Content {
			list[i] = d.branch(c, fmt.Sprintf("%s[%d]", path, i), h)
		}
		return list
	}
	return d.leaf(n, path, h)
}

func (d *decoder) leaf(n *yaml.Node, path string, h hint) any {
	e, ok := d.expression(n)
	if !ok || e != nil && d.secretFlow(n, e, path, h) {
		return nil
	}
	var got any
	switch {
	case e != nil && d.scope == nil:
		return n.Value
	case e != nil:
		var err error
		if got, err = e.Eval(*d.scope); err != nil {
			d.unkept(n, h, err)
			return nil
		}
	default:
		if err := n.Decode(&got); err != nil {
			d.fail(n, "bad-yaml", "%v", err)
			return nil
		}
	}
	if i, ok := got.(int); ok {
		return int64(i)
	}
	return got
}
