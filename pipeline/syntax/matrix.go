package syntax

import (
	"fmt"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// The keys of a matrix that are no axes.
const (
	keyInclude = "include"
	keyExclude = "exclude"
	keyMax     = "max"
)

// matrix decodes what makes several steps of st, and notes what expressions may
// know of it: which values a cell has, and which cells there are if that can be
// known yet. No stage is known to its expressions.
func (r *reader) matrix(st *pipeline.Stage, n *yaml.Node) {
	d := &decoder{tree: r.tree, compiler: r.compiler, names: pipeline.Names{Vars: r.names.Vars}, at: fmt.Sprintf("stages.%s.matrix", st.ID), fields: map[string]pipeline.Pos{}}
	m := &pipeline.Matrix{Pos: d.pos(n)}
	st.Matrix = m
	types := map[string]pipeline.Type{pipeline.CellFact: pipeline.String}
	r.names.Matrix[st.ID] = types
	if n.Kind != yaml.MappingNode {
		d.fail(n, "wrong-type", "matrix is %s (want a mapping of lists by name)", what(n))
	} else {
		d.pairs(n, func(key, val *yaml.Node) {
			val = resolve(val)
			switch d.matrixKey(n, key, val) {
			case keyInclude:
				m.Include = d.cells(val, keyInclude)
			case keyExclude:
				m.Exclude = d.cells(val, keyExclude)
			case keyMax:
				m.Max = d.most(val)
			default:
				m.Axes = append(m.Axes, d.axis(key, val))
			}
		})
		if len(m.Axes) == 0 && len(d.errs) == 0 {
			d.fail(n, "missing-key", "matrix has no list (want one such as svc: [cart, web])")
		}
	}
	for _, a := range m.Axes {
		types[a.Name] = axisType(a)
	}
	for _, e := range m.Include {
		for name, v := range e.Values {
			if t, ok := types[name]; !ok {
				types[name] = v.Type()
			} else if t != v.Type() {
				types[name] = pipeline.Any
			}
		}
	}
	d.excluded(m)
	if len(d.errs) == 0 && settled(m) {
		cells, err := m.Cells(pipeline.Scope{})
		d.errs.Add(m.Pos, "", "bad-value", err)
		names := []string{} // not nil: it is known that there are none
		for _, c := range cells {
			names = append(names, c.Name)
		}
		if err == nil {
			r.names.Cells[st.ID] = names
		}
	}
	for _, e := range d.errs {
		e.Stage = st.ID
	}
	r.errs = append(r.errs, d.errs...)
}

// matrixKey returns what key of the matrix n is meant by key, whose value cannot
// be a list of values.
func (d *decoder) matrixKey(n, key, val *yaml.Node) string {
	var known []string
	switch {
	case val.Kind == yaml.SequenceNode && len(val.Content) > 0 && resolve(val.Content[0]).Kind == yaml.MappingNode:
		known = []string{keyInclude, keyExclude}
	case val.Kind == yaml.ScalarNode && val.Tag == "!!int":
		known = []string{keyMax}
	}
	if slices.Contains(known, key.Value) || meant(n, key.Value, known) == "" {
		return key.Value
	}
	d.fail(key, "unknown-key", "unknown key %q in matrix%s", key.Value, pipeline.Nearest(key.Value, known))
	return meant(n, key.Value, known)
}

// axis decodes one list, written out or as an expression.
func (d *decoder) axis(key, val *yaml.Node) pipeline.Axis {
	a := pipeline.Axis{Name: key.Value, Pos: d.pos(key)}
	if key.Value == pipeline.CellFact || !idName().MatchString(key.Value) {
		d.fail(key, "bad-name", "%q cannot name a list of a matrix (want letters, digits, - and _; %s is the name of the cell itself)", key.Value, pipeline.CellFact)
		return a
	}
	if val.Kind == yaml.SequenceNode {
		for _, c := range val.Content {
			a.Values = append(a.Values, d.known(resolve(c), key.Value))
		}
		return a
	}
	a.List = d.known(val, key.Value)
	if t := a.List.Type(); !a.List.IsZero() && t != pipeline.List && t != pipeline.Any {
		d.fail(val, "wrong-type", "%s is of type %s (want a list: [a, b], or an expression that is one)", key.Value, t)
		a.List = pipeline.Value{}
	}
	return a
}

// cells decodes include or exclude.
func (d *decoder) cells(n *yaml.Node, key string) []pipeline.Entry {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "wrong-type", "%s is %s (want a list of mappings)", key, what(n))
		return nil
	}
	var entries []pipeline.Entry
	for _, c := range n.Content {
		c = resolve(c)
		if c.Kind != yaml.MappingNode || len(c.Content) == 0 {
			d.fail(c, "wrong-type", "%s has %s (want a mapping of values by name)", key, empty(c))
			continue
		}
		e := pipeline.Entry{Pos: d.pos(c), Values: map[string]pipeline.Value{}}
		d.pairs(c, func(name, val *yaml.Node) {
			if name.Value == pipeline.CellFact || !idName().MatchString(name.Value) {
				d.fail(name, "bad-name", "%q cannot name a value of a matrix (want letters, digits, - and _; %s is the name of the cell itself)", name.Value, pipeline.CellFact)
				return
			}
			d.fields[fmt.Sprintf("%s[%d].%s", key, len(entries), name.Value)] = d.pos(name)
			e.Values[name.Value] = d.known(resolve(val), name.Value)
		})
		entries = append(entries, e)
	}
	return entries
}

// known decodes one value that keeps its type.
func (d *decoder) known(n *yaml.Node, key string) pipeline.Value {
	var v pipeline.Value
	d.decode(n, reflect.ValueOf(&v).Elem(), key, hint{key: key, any: true})
	return v
}

// most decodes the limit of a matrix.
func (d *decoder) most(n *yaml.Node) int {
	var most int
	if err := n.Decode(&most); err != nil || n.Kind != yaml.ScalarNode || most < 1 || most > pipeline.MostMaxCells {
		d.fail(n, "bad-value", "max is not right (want a whole number from 1 to %d)", pipeline.MostMaxCells)
		return 0
	}
	return most
}

// excluded finds names in exclude that no axis has.
func (d *decoder) excluded(m *pipeline.Matrix) {
	var axes []string
	for _, a := range m.Axes {
		axes = append(axes, a.Name)
	}
	for i, e := range m.Exclude {
		for _, name := range pipeline.Keys(e.Values) {
			if !slices.Contains(axes, name) {
				d.errs.Add(d.fields[fmt.Sprintf("%s[%d].%s", keyExclude, i, name)], "", "unknown-name", fmt.Errorf("exclude has %s, which is no list of the matrix%s", name, pipeline.Nearest(name, axes)))
			}
		}
	}
}

// axisType returns the type that all values of a have.
func axisType(a pipeline.Axis) pipeline.Type {
	if l, ok := a.List.Expr().(interface{ Elem() pipeline.Type }); ok {
		return l.Elem()
	}
	if len(a.Values) == 0 {
		return pipeline.Any
	}
	t := a.Values[0].Type()
	for _, v := range a.Values {
		if v.Type() != t {
			return pipeline.Any
		}
	}
	return t
}

// settled reports whether the cells of m can be known without a scope.
func settled(m *pipeline.Matrix) bool {
	static := func(v pipeline.Value) bool { return v.Expr() == nil }
	for _, a := range m.Axes {
		if !static(a.List) || slices.ContainsFunc(a.Values, func(v pipeline.Value) bool { return !static(v) }) {
			return false
		}
	}
	for _, e := range slices.Concat(m.Include, m.Exclude) {
		for _, v := range e.Values {
			if !static(v) {
				return false
			}
		}
	}
	return true
}
