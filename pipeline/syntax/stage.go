package syntax

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// common are the keys that stand beside the kind of a stage.
type common struct {
	Needs       []need         `yaml:"needs" doc:"Stages that come before, beyond those whose values are used."`
	If          pipeline.Value `yaml:"if,if" doc:"A condition, without delimiters: git.branch == 'main'. It must be known while planning."`
	Matrix      yaml.Node      `yaml:"matrix" doc:"Makes several of the stage: one for each combination of its lists. include, exclude and max are no lists."` // decoded before everything else
	Timeout     time.Duration  `yaml:"timeout" doc:"How long the stage may take, such as 90s, 5m or 1h30m. Default: as long as it takes; 10m for a deploy."`
	Retries     int            `yaml:"retries,literal" doc:"Further attempts after the first. Default: none."`
	Always      bool           `yaml:"always,literal" doc:"The stage runs even if a need failed or was skipped."`
	Description string         `yaml:"description,literal" doc:"What it is for, for people."`
}

type need struct {
	Stage    string         `yaml:"stage,required,short" doc:"Id of the stage that comes before."`
	Cell     pipeline.Value `yaml:"cell" doc:"Name of the one cell that is meant, of a stage with a matrix. Default: all."`
	Optional bool           `yaml:"optional,literal" doc:"The need passes also when the other's if was false."`
}

// stages notes the ids, kinds and outputs of all stages, and returns their
// nodes. A body is decoded twice: here for its outputs, later for its mistakes.
func (r *reader) stages(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.fail(n, "wrong-type", "stages is %s (want a mapping of stages by id)", empty(n))
		return nil
	}
	many := len(n.Content) / 2
	nodes := make([]*yaml.Node, 0, many)
	r.bodies, r.out.Stages = make(map[pipeline.ID]*yaml.Node, many), slices.Grow(r.out.Stages, many)
	r.pairs(n, func(key, val *yaml.Node) {
		st := pipeline.Stage{ID: pipeline.ID(key.Value), Pos: r.pos(key)}
		if !idName().MatchString(key.Value) {
			r.fail(key, "bad-name", "%q cannot name a stage (want letters, digits, - and _, beginning with a letter)", key.Value)
		}
		st.Outputs = map[string]pipeline.Type{pipeline.StatusOutput: pipeline.String}
		r.names.Stages[st.ID] = st.Outputs
		r.out.Stages = append(r.out.Stages, st)
		nodes = append(nodes, resolve(val))
	})
	for i, node := range nodes {
		st := &r.out.Stages[i]
		r.mendStage(st, node)
		if m := child(node, "matrix"); m != nil {
			r.matrix(st, resolve(m))
		}
		var body *yaml.Node
		var kind pipeline.Kind
		if nodes[i], body, kind = r.filled(node); body != nil {
			st.Kind, r.bodies[st.ID] = kind.Name, body
			// Outputs depend on which keys are there, not on what expressions say.
			probe := &decoder{tree: r.tree, compiler: literals{}}
			b := kind.New()
			probe.decode(body, reflect.ValueOf(b).Elem(), "", hint{key: kind.Name})
			if o, ok := b.(pipeline.Outputter); ok {
				for name, t := range o.Outputs() {
					st.Outputs[name] = t
				}
			}
		}
	}
	return nodes
}

// mendStage reports the keys of a stage that are none. A stage that has a kind
// did not mean another one.
func (r *reader) mendStage(st *pipeline.Stage, n *yaml.Node) {
	d := &decoder{tree: r.tree}
	d.mend(n, " in a stage", append(keysOf(reflect.TypeFor[common]()), r.kindNames()...), func(name string) bool {
		_, body := r.kind(n)
		return body == nil || !slices.Contains(r.kindNames(), name)
	})
	for _, e := range d.errs {
		e.Stage = st.ID
	}
	r.errs = append(r.errs, d.errs...)
}

// stage decodes one stage: the common keys and exactly one kind.
func (r *reader) stage(st *pipeline.Stage, n *yaml.Node) {
	d := &decoder{tree: r.tree, compiler: r.compiler, names: r.names, at: "stages." + string(st.ID), fields: map[string]pipeline.Pos{}}
	d.names.Stage = st.ID
	defer func() {
		for _, e := range d.errs {
			e.Stage = st.ID
		}
		r.errs = append(r.errs, d.errs...)
	}()
	if n.Kind != yaml.MappingNode {
		d.fail(n, "wrong-type", "stage is %s (want a mapping with one of %s)", empty(n), strings.Join(r.kindNames(), ", "))
		return
	}
	var c common
	v := reflect.ValueOf(&c).Elem()
	fields, keys := fieldsOf(v.Type()), keysOf(v.Type())
	kinds := r.kindNames()
	var found []string
	unknown := false
	d.pairs(n, func(key, val *yaml.Node) {
		switch i := slices.Index(keys, key.Value); {
		case key.Value == "matrix":
		case i >= 0:
			d.decode(val, v.FieldByIndex(fields[i].Index), key.Value, fields[i].hint)
		case slices.Contains(kinds, key.Value):
			if found = append(found, key.Value); len(found) > 1 {
				d.fail(key, "two-kinds", "stage is already %s (a stage has one kind; make %s a stage of its own)", found[0], key.Value)
				return
			}
			b := &body{tree: r.tree, stage: st.ID, node: r.bodies[st.ID], compiler: r.compiler, names: d.names}
			b.kind, _ = r.kind(n)
			_, bd := b.decode(nil)
			d.errs = append(d.errs, bd.errs...)
			d.refs = append(d.refs, bd.refs...)
			st.Body = b
		default: // has been reported
			unknown = true
		}
	})
	if len(found) == 0 && len(d.errs) == 0 && !unknown {
		d.fail(n, "no-kind", "stage does nothing (want one of %s)", strings.Join(kinds, ", "))
	}
	st.Description = c.Description
	if !c.If.IsZero() {
		st.If = &c.If
	}
	if c.Retries < 0 {
		d.errs.Add(d.fields["retries"], "", "bad-value", fmt.Errorf("retries is %d (want none or more)", c.Retries))
	}
	st.Policy = pipeline.Policy{Timeout: c.Timeout, Retries: c.Retries, Always: c.Always}
	r.needs(d, st, c.Needs)
}

// needs joins the needs that are written with those that references imply.
func (r *reader) needs(d *decoder, st *pipeline.Stage, written []need) {
	for i, w := range written {
		pos := d.fields[fmt.Sprintf("needs[%d]", i)]
		id := pipeline.ID(w.Stage)
		switch {
		case id == st.ID:
			d.errs.Add(pos, "", "cycle", errors.New("stage needs itself"))
		case r.names.Stages[id] == nil && w.Stage != "":
			d.errs.Add(pos, "", "unknown-stage", fmt.Errorf("no stage is called %q%s", w.Stage, pipeline.Nearest(w.Stage, pipeline.Keys(r.names.Stages))))
		default:
			n := pipeline.Need{Stage: id, Pos: pos, Optional: w.Optional}
			if !w.Cell.IsZero() && r.cell(d, w) {
				n.Cells = []pipeline.Value{w.Cell}
			}
			st.Needs = append(st.Needs, n)
		}
	}
	seen := map[pipeline.Ref]bool{}
	for _, ref := range d.refs {
		cell := pipeline.Ref{Stage: ref.Stage, Cell: ref.Cell, Key: ref.Key}
		i := slices.IndexFunc(st.Needs, func(n pipeline.Need) bool { return n.Stage == ref.Stage })
		cells := cellsOf(ref)
		switch {
		case i < 0:
			st.Needs = append(st.Needs, pipeline.Need{Stage: ref.Stage, Pos: ref.pos, Cells: cells})
			i = len(st.Needs) - 1
		case cells == nil || st.Needs[i].Cells == nil:
			st.Needs[i].Cells = nil
		case !seen[cell]:
			st.Needs[i].Cells = append(st.Needs[i].Cells, cells...)
		}
		seen[cell] = true
		st.Needs[i].Data = st.Needs[i].Data || ref.Output != pipeline.StatusOutput
	}
}

// cell checks a need of one cell.
func (r *reader) cell(d *decoder, w need) bool {
	id, have := pipeline.ID(w.Stage), r.names.Cells[pipeline.ID(w.Stage)]
	name, err := w.Cell.Text(pipeline.Scope{})
	switch {
	case r.names.Matrix[id] == nil:
		d.errs.Add(w.Cell.Pos, "", "no-matrix", fmt.Errorf("stage %s has no matrix (leave out cell:)", id))
	case len(w.Cell.Refs()) > 0:
		d.errs.Add(w.Cell.Pos, "", "not-known-yet", errors.New("cell must be known before any stage is planned (use matrix or vars)"))
	case w.Cell.Expr() == nil && err == nil && have != nil && !slices.Contains(have, name):
		d.errs.Add(w.Cell.Pos, "", "unknown-cell", fmt.Errorf("stage %s has no cell %q%s", id, name, wanted(name, slices.Clone(have))))
	default:
		return true
	}
	return false
}

// cellsOf returns the cell that ref means, or nil for all.
func cellsOf(ref reference) []pipeline.Value {
	switch {
	case ref.Key != "":
		return []pipeline.Value{pipeline.MatrixValue(ref.pos, ref.Key)}
	case ref.Cell != "":
		return []pipeline.Value{literal(ref.pos, ref.Cell)}
	}
	return nil
}
