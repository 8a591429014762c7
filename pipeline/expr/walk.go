package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/slipway-ci/slipway/pipeline"
)

// walker looks at an expression before CEL checks it: it finds what is
// mentioned, and finds wrong names where it can say which is the right one.
type walker struct {
	lang   *language
	e      *expression
	names  pipeline.Names
	info   *celast.SourceInfo
	src    string
	whole  bool        // the expression is nothing but one var
	top    celast.Expr // the whole expression
	offset int
	code   string
	err    error
}

func (w *walker) fail(e celast.Expr, code string, err error) {
	if w.err == nil {
		loc := w.info.GetStartLocation(e.ID())
		w.offset, w.code, w.err = offset(w.src, loc.Line(), loc.Column()), code, err
		// CEL's position of a selection is its dot: point at the word after it.
		if e.Kind() == celast.SelectKind && strings.HasPrefix(w.src[w.offset:], ".") {
			w.offset++
		}
	}
}

// walk visits e. Path holds the fields and indices that are taken from e,
// outermost first. Inside is whether e is more than a part that a text is joined of.
func (w *walker) walk(e celast.Expr, path []celast.Expr, inside bool) {
	w.normal(e)
	switch e.Kind() {
	case celast.IdentKind:
		w.mention(e, path, inside)
	case celast.SelectKind:
		sel := e.AsSelect()
		w.walk(sel.Operand(), append(slices.Clone(path), e), inside || sel.IsTestOnly())
	case celast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == operators.Index && w.byCell(call.Args()[0]) {
			w.walk(call.Args()[0], append(slices.Clone(path), e), inside)
			w.walk(call.Args()[1], nil, true)
			return
		}
		if call.IsMemberFunction() {
			w.walk(call.Target(), nil, true)
		}
		for _, a := range call.Args() {
			w.walk(a, nil, inside || call.FunctionName() != operators.Add)
		}
	case celast.StructKind:
		w.fail(e, "no-messages", errors.New("there are no messages here (write a map: {'key': value})"))
	case celast.ListKind:
		for _, el := range e.AsList().Elements() {
			w.walk(el, nil, true)
		}
	case celast.MapKind:
		for _, en := range e.AsMap().Entries() {
			w.walk(en.AsMapEntry().Key(), nil, true)
			w.walk(en.AsMapEntry().Value(), nil, true)
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		for _, sub := range []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			w.walk(sub, nil, true)
		}
	}
}

// normal makes of stages["my-api"] what CEL's syntax does not allow:
// stages.my-api. The cells of a matrix are a map, and stay one.
func (w *walker) normal(e celast.Expr) {
	if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != operators.Index {
		return
	}
	of, key := e.AsCall().Args()[0], e.AsCall().Args()[1]
	w.normal(of)
	if key.Kind() != celast.LiteralKind || !w.rooted(of) || w.byCell(of) {
		return
	}
	if name, ok := key.AsLiteral().(types.String); ok {
		e.SetKindCase(w.lang.factory.NewSelect(e.ID(), of, string(name)))
	}
}

// rooted reports whether e is one of the names with fields, a stage, or a cell.
func (w *walker) rooted(e celast.Expr) bool {
	switch e.Kind() {
	case celast.SelectKind:
		op := e.AsSelect().Operand()
		return op.Kind() == celast.IdentKind && op.AsIdent() == "stages"
	case celast.CallKind:
		return e.AsCall().FunctionName() == operators.Index && w.byCell(e.AsCall().Args()[0])
	}
	return e.Kind() == celast.IdentKind && w.lang.fields["slipway."+e.AsIdent()] != nil
}

// byCell reports whether e is a stage with a matrix.
func (w *walker) byCell(e celast.Expr) bool {
	w.normal(e)
	if e.Kind() != celast.SelectKind || !w.rooted(e) {
		return false
	}
	_, ok := w.names.Matrix[pipeline.ID(e.AsSelect().FieldName())]
	return ok
}

// mention checks a name and the fields selected from it.
func (w *walker) mention(e celast.Expr, path []celast.Expr, inside bool) {
	name := e.AsIdent()
	fields, known := w.lang.fields["slipway."+name]
	switch {
	case name == folderVar:
		w.e.roots = append(w.e.roots, "dirs")
		return
	case name == "matrix":
		if fields = w.lang.fields["slipway."+matrixOf(w.names.Stage)]; fields == nil {
			w.fail(e, "no-matrix", errors.New("there is no matrix here (give the stage matrix: {name: [value, …]} beside its kind)"))
			return
		}
		e.SetKindCase(w.lang.factory.NewIdent(e.ID(), matrixOf(w.names.Stage)))
	case !known:
		return // a variable of a comprehension, or a mistake that CEL's checker names
	case name == "stages" && w.names.Stages == nil:
		w.fail(e, "no-stages", errors.New("nothing of any stage is known here (the cells of a matrix are made before any stage is planned)"))
		return
	}
	if len(path) == 0 {
		w.fail(e, "incomplete-name", fmt.Errorf("%s is not a value (write %s.NAME with one of %s)", name, name, strings.Join(pipeline.Keys(fields), ", ")))
		return
	}
	slices.Reverse(path)
	if path[0].Kind() != celast.SelectKind {
		w.fail(e, "incomplete-name", fmt.Errorf("a name of %s has to be written out (want one of %s)", name, strings.Join(pipeline.Keys(fields), ", ")))
		return
	}
	first := path[0].AsSelect().FieldName()
	if _, ok := fields[first]; !ok {
		w.fail(path[0], "unknown-name", fmt.Errorf("%s %q%s%s", unknown(name), first,
			pipeline.Nearest(first, pipeline.Keys(fields)), choice(pipeline.Keys(fields))))
		return
	}
	if name == "stages" {
		w.output(pipeline.ID(first), path, inside)
		return
	}
	w.e.roots = append(w.e.roots, name)
	if name == "vars" && w.names.Vars[first] == pipeline.Secret {
		if name := "vars." + first; !slices.Contains(w.e.secrets, name) {
			w.e.secrets = append(w.e.secrets, name)
		}
		w.whole = strings.TrimSpace(w.src) == "vars."+first
	}
}

// output checks a mention of a stage. Path is what is taken from stages.
func (w *walker) output(id pipeline.ID, path []celast.Expr, inside bool) {
	ref, outputs := pipeline.Ref{Stage: id}, w.names.Stages[id]
	value, rest := fmt.Sprintf("stages.%s", id), path[1:]
	if strings.Contains(string(id), "-") {
		value = fmt.Sprintf("stages[%q]", id)
	}
	if _, ok := w.names.Matrix[id]; ok {
		if !slices.Contains(w.e.maps, id) {
			w.e.maps = append(w.e.maps, id)
		}
		value += fmt.Sprintf("[%q]", w.example(id))
		switch {
		case len(rest) == 0 && path[0] != w.top:
			return // the map itself: its cells can be counted, or gone through
		case len(rest) == 0 || rest[0].Kind() != celast.CallKind:
			w.fail(path[len(path)-1], "incomplete-name", fmt.Errorf("stage %s has a matrix (write %s.NAME for one cell)", id, value))
			return
		case !w.cell(&ref, rest[0].AsCall().Args()[1]):
			return
		}
		rest = rest[1:]
	}
	if len(rest) == 0 || rest[0].Kind() != celast.SelectKind {
		w.fail(path[len(path)-1], "incomplete-name", fmt.Errorf("stage %s is not a value (write %s.NAME with one of %s)", id, value, strings.Join(pipeline.Keys(outputs), ", ")))
		return
	}
	ref.Output = rest[0].AsSelect().FieldName()
	if _, ok := outputs[ref.Output]; !ok {
		w.fail(rest[0], "unknown-output", fmt.Errorf("stage %s has no output %q%s%s", id, ref.Output,
			pipeline.Nearest(ref.Output, pipeline.Keys(outputs)), choice(pipeline.Keys(outputs))))
		return
	}
	if t := outputs[ref.Output]; t == pipeline.Image || t == pipeline.Pushed {
		w.e.images[ref.Output] = true
	}
	w.e.opaque = w.e.opaque || inside
	if !slices.Contains(w.e.refs, ref) {
		w.e.refs = append(w.e.refs, ref)
	}
}

// cell notes which cell key means, and reports whether there may be such a one.
func (w *walker) cell(ref *pipeline.Ref, key celast.Expr) bool {
	switch key.Kind() {
	case celast.LiteralKind:
		name, ok := key.AsLiteral().(types.String)
		have := w.names.Cells[ref.Stage]
		if ref.Cell = string(name); ok && have != nil && !slices.Contains(have, ref.Cell) {
			w.fail(key, "unknown-cell", fmt.Errorf("stage %s has no cell %q%s%s", ref.Stage, ref.Cell, pipeline.Nearest(ref.Cell, have), choice(have)))
			return false
		}
	case celast.SelectKind:
		if op := key.AsSelect().Operand(); op.Kind() == celast.IdentKind && op.AsIdent() == "matrix" {
			ref.Key = key.AsSelect().FieldName()
		}
	}
	return true
}

// example returns the name of a cell of a stage, for messages.
func (w *walker) example(id pipeline.ID) string {
	if cells := w.names.Cells[id]; len(cells) > 0 {
		return cells[0]
	}
	return "CELL"
}

// unknown begins the message about a field that a name does not have.
func unknown(name string) string {
	switch name {
	case "stages":
		return "no stage is called"
	case "vars":
		return "no var is called"
	}
	return name + " has no"
}

func choice(words []string) string {
	if len(words) == 0 {
		return " (the file has none)"
	}
	return " (want one of " + strings.Join(words, ", ") + ")"
}
