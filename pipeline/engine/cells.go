package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// A node is a stage, or one cell of it, on its way to becoming a step: it has
// the id of the step, and its needs name steps.
type node struct {
	pipeline.Stage
	matrix map[string]any // the values of the cell
	none   bool           // its matrix has no cells
	err    error          // why it cannot be planned
}

// expand returns the nodes of p in the order of the file, and puts into sc
// which cells there are. A stage whose matrix is empty, or wrong, is one node.
func expand(p *pipeline.Pipeline, sc *pipeline.Scope) []node {
	sc.Cells = map[pipeline.ID][]string{}
	var nodes []node
	for _, st := range p.Stages {
		if st.Matrix == nil {
			nodes = append(nodes, node{Stage: st})
			continue
		}
		cells, err := st.Matrix.Cells(*sc)
		if err != nil || len(cells) == 0 {
			nodes = append(nodes, node{Stage: st, none: err == nil, err: err})
			continue
		}
		for _, c := range cells {
			n := node{Stage: st, matrix: c.Values}
			n.ID = st.ID.At(c.Name)
			nodes = append(nodes, n)
			sc.Cells[st.ID] = append(sc.Cells[st.ID], c.Name)
		}
	}
	for i := range nodes {
		nodes[i].needs(*sc)
	}
	return nodes
}

// needs makes the needs of n name steps.
func (n *node) needs(sc pipeline.Scope) {
	written := n.Needs
	n.Needs = nil
	for _, need := range written {
		cells := sc.Cells[need.Stage]
		if len(cells) == 0 {
			n.Needs = append(n.Needs, need)
			continue
		}
		if need.Cells != nil && n.err == nil && !n.none {
			cells, n.err = chosen(need, sc.Cell(n.matrix))
		}
		for _, c := range cells {
			one := need
			one.Stage, one.Cells = need.Stage.At(c), nil
			n.Needs = append(n.Needs, one)
		}
	}
}

// chosen returns the names of the cells that need means.
func chosen(need pipeline.Need, sc pipeline.Scope) ([]string, error) {
	have := sc.Cells[need.Stage]
	var cells []string
	for _, v := range need.Cells {
		c, err := v.Text(sc)
		switch {
		case err != nil:
		case !slices.Contains(have, c):
			err = fmt.Errorf("stage %s has no cell %q%s (want one of %s)", need.Stage, c, pipeline.Nearest(c, have), strings.Join(have, ", "))
		case !slices.Contains(cells, c):
			cells = append(cells, c)
		}
		if err != nil {
			return nil, &pipeline.Error{Pos: v.Pos, Code: "unknown-cell", Err: err}
		}
	}
	return cells, nil
}

// selected returns the nodes that are asked for, and the needs of these.
func (pl *Planner) selected(p *pipeline.Pipeline, nodes []node) ([]node, error) {
	index := map[pipeline.ID]int{}
	for i, n := range nodes {
		index[n.ID] = i
	}
	for _, id := range slices.Concat(pl.Only, pl.Skip) {
		if _, ok := index[id]; !ok && p.Stage(id) == nil {
			return nil, pl.unknown(p, nodes, id)
		}
	}
	if len(pl.Only) == 0 {
		return nodes, nil
	}
	wanted := map[pipeline.ID]bool{}
	var want func(n node)
	want = func(n node) {
		if wanted[n.ID] {
			return
		}
		wanted[n.ID] = true
		for _, need := range n.Needs {
			want(nodes[index[need.Stage]])
		}
	}
	for _, n := range nodes {
		if n.in(pl.Only) {
			want(n)
		}
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n node) bool { return !wanted[n.ID] }), nil
}

// in reports whether ids name n or its stage.
func (n node) in(ids []pipeline.ID) bool {
	return slices.Contains(ids, n.ID) || slices.Contains(ids, n.ID.Stage())
}

// unknown returns the error about an id that is asked for.
func (pl *Planner) unknown(p *pipeline.Pipeline, nodes []node, id pipeline.ID) error {
	var ids []string
	if p.Stage(id.Stage()) != nil { // a cell that is not there
		for _, n := range nodes {
			if n.ID.Stage() == id.Stage() {
				ids = append(ids, string(n.ID))
			}
		}
	} else {
		for _, st := range p.Stages {
			ids = append(ids, string(st.ID))
		}
	}
	return &pipeline.Error{
		Pos: p.Pos, Code: "unknown-stage",
		Err: fmt.Errorf("no stage is called %q%s (want one of %s)", id, pipeline.Nearest(string(id), ids), strings.Join(ids, ", ")),
	}
}

// after returns what a step with needs comes after, sorted: the stage instead of
// all its cells.
func after(needs []pipeline.Need, sc pipeline.Scope) []pipeline.ID {
	cells := map[pipeline.ID]int{}
	for _, n := range needs {
		if n.Stage != n.Stage.Stage() {
			cells[n.Stage.Stage()]++
		}
	}
	var ids []pipeline.ID
	for _, n := range needs {
		id := n.Stage
		if st := id.Stage(); cells[st] > 0 && cells[st] == len(sc.Cells[st]) {
			id = st
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
