package syntax

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Parser reads pipeline files.
type Parser struct {
	Kinds    []pipeline.Kind   // what stages can be
	Compiler pipeline.Compiler // makes expressions

	// Read returns the text of a file that is included; its name is relative as
	// that of the file which includes it. It decides which files may be. Nil
	// means none.
	Read func(name string) ([]byte, error)
}

// Version is the version of the format, as the key slipway: has it.
const Version = "v1"

// file is the whole of a pipeline file. Stages, vars and environments keep
// their order, so they are decoded by hand.
type file struct {
	Slipway      string                    `yaml:"slipway,required" doc:"The version of the format."`
	Name         string                    `yaml:"name,required" doc:"Name of the pipeline: up to 40 lower-case letters, digits and dashes."`
	Vars         yaml.Node                 `yaml:"vars" doc:"What may be set from outside, by name. The last of these that sets one wins: its default, the environment's vars, its environment variable, --var-file, --var."`
	Environments yaml.Node                 `yaml:"environments" doc:"Where a run may go, by name: slipway run -e NAME."`
	Include      []string                  `yaml:"include" doc:"Files with further vars, environments, defaults, stages and outputs, by paths from the folder of this one."`
	Defaults     yaml.Node                 `yaml:"defaults" doc:"What stages have without saying so, by kind; stage is for what stands beside the kind. Mappings are merged, lists replaced, null takes a default away."`
	Stages       yaml.Node                 `yaml:"stages,required" doc:"What is done, by id. Stages that don't need each other run at the same time."`
	Outputs      map[string]pipeline.Value `yaml:"outputs,any" doc:"What a run gives to whoever started it, by name."`
}

var (
	pipelineName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)
	idName       = regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9_]{0,62}$`)
)

// Parse reads the file called name, whose text is given. It returns a
// [pipeline.ErrorList] with every mistake that it finds.
func (p *Parser) Parse(name string, text []byte) (*pipeline.Pipeline, error) {
	src, failed := read(name, text)
	if failed != nil {
		return nil, pipeline.ErrorList{failed}
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	r := &reader{Parser: p, decoder: &decoder{tree: alone(src), compiler: p.Compiler, fields: map[string]pipeline.Pos{}}}
	r.out = &pipeline.Pipeline{Pos: src.pos(src.root), Dir: dir}
	r.read()
	if err := once(r.errs).Err(); err != nil {
		return nil, err
	}
	return r.out, nil
}

// once returns list without errors that are there already: what is wrong in
// defaults is wrong in every stage that has them.
func once(list pipeline.ErrorList) pipeline.ErrorList {
	type place struct {
		pos  pipeline.Pos
		text string
	}
	seen := map[place]bool{}
	return slices.DeleteFunc(list, func(e *pipeline.Error) bool {
		at := place{e.Pos, e.Err.Error()}
		again := seen[at]
		seen[at] = true
		return again
	})
}

// A reader makes a Pipeline of one file.
type reader struct {
	*Parser
	*decoder
	out    *pipeline.Pipeline
	preset map[string]*yaml.Node      // defaults by kind
	bodies map[pipeline.ID]*yaml.Node // of stages, with their defaults
}

func (r *reader) read() {
	in := including{reader: r, found: sections{}, done: map[string]bool{}}
	in.gather(r.main)
	if r.main.root.Kind != yaml.MappingNode {
		return
	}
	parts := in.found
	for _, key := range []string{"slipway", "name", "stages"} {
		if parts[key] == nil && child(r.main.root, key) == nil {
			r.fail(r.main.root, "missing-key", "file needs %s:", key)
		}
	}
	// Names first: an expression anywhere may mention any var and any stage.
	var f file
	if n := parts["name"]; n != nil {
		if r.out.Name = n.Value; n.Tag == "!!null" || !pipelineName.MatchString(n.Value) {
			r.fail(n, "bad-name", "%q cannot name a pipeline (want up to 40 lower-case letters, digits and dashes)", n.Value)
		}
	}
	r.vars(parts["vars"])
	r.names = pipeline.Names{
		Vars: map[string]pipeline.Type{}, Stages: map[pipeline.ID]map[string]pipeline.Type{},
		Matrix: map[pipeline.ID]map[string]pipeline.Type{}, Cells: map[pipeline.ID][]string{},
	}
	for _, v := range r.out.Vars {
		r.names.Vars[v.Name] = v.Type
	}
	r.defaults(parts["defaults"])
	nodes := r.stages(parts["stages"])
	r.environments(parts["environments"])
	for i := range nodes {
		r.stage(&r.out.Stages[i], nodes[i])
	}
	if n := parts["outputs"]; n != nil {
		r.decode(n, reflect.ValueOf(&f).Elem().FieldByName("Outputs"), "outputs", hint{key: "outputs", any: true})
		for _, k := range pipeline.Keys(f.Outputs) {
			r.out.Outputs = append(r.out.Outputs, pipeline.Output{Name: k, Value: f.Outputs[k]})
		}
	}
	if len(r.errs) == 0 {
		r.cycles()
	}
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
	var nodes []*yaml.Node
	r.bodies = map[pipeline.ID]*yaml.Node{}
	r.pairs(n, func(key, val *yaml.Node) {
		st := pipeline.Stage{ID: pipeline.ID(key.Value), Pos: r.pos(key)}
		if !idName.MatchString(key.Value) {
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
			probe := &decoder{tree: r.tree, compiler: literals{}, fields: map[string]pipeline.Pos{}}
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

// child returns the value of a key of the mapping n, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// kind returns the first key of a stage that names a kind.
func (r *reader) kind(n *yaml.Node) (pipeline.Kind, *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			for _, k := range r.Kinds {
				if k.Name == n.Content[i].Value {
					return k, n.Content[i+1]
				}
			}
		}
	}
	return pipeline.Kind{}, nil
}

// literals is a Compiler that takes expressions for text.
type literals struct{}

func (literals) Template(string, pipeline.Place, pipeline.Names) (pipeline.Expr, error) {
	return nil, nil
}

func (literals) Bare(string, pipeline.Place, pipeline.Names) (pipeline.Expr, error) { return nil, nil }

// plain is a Compiler for places where no expression may stand.
type plain struct{ literals }

func (plain) Template(text string, at pipeline.Place, _ pipeline.Names) (pipeline.Expr, error) {
	if i := strings.Index(text, "${{"); i >= 0 {
		return nil, &pipeline.Error{Pos: at(i), Code: "no-expression-here", Err: errors.New("no expression may stand here (write the value)")}
	}
	return nil, nil
}

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

// stage decodes one stage: the common keys and exactly one kind.
func (r *reader) stage(st *pipeline.Stage, n *yaml.Node) {
	d := &decoder{tree: r.tree, compiler: r.compiler, names: r.names, fields: map[string]pipeline.Pos{}}
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
	keys := keysOf(v.Type())
	kinds := r.kindNames()
	var found []string
	unknown := false
	d.pairs(n, func(key, val *yaml.Node) {
		switch i := slices.Index(keys, key.Value); {
		case key.Value == "matrix":
		case i >= 0:
			d.decode(val, v.Field(i), key.Value, hintOf(v.Type().Field(i)))
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

func (r *reader) kindNames() []string {
	var names []string
	for _, k := range r.Kinds {
		names = append(names, k.Name)
	}
	return names
}

// cycles reports a cycle, as a path.
func (r *reader) cycles() {
	if _, err := pipeline.Order(r.out.Stages); err != nil {
		r.errs.Add(r.out.Pos, "", "cycle", err)
	}
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, hintOf(t.Field(i)).key)
	}
	return keys
}

func empty(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return "empty"
	}
	return what(n)
}
