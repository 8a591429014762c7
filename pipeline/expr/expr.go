package expr

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/slipway-ci/slipway/pipeline"
)

// An expression is one CEL expression, checked.
type expression struct {
	src     string
	refs    []pipeline.Ref
	roots   []string // names of facts that it mentions
	typ     pipeline.Type
	secret  bool
	program cel.Program
}

func (e *expression) Refs() []pipeline.Ref { return e.refs }
func (e *expression) Type() pipeline.Type  { return e.typ }
func (e *expression) Secret() bool         { return e.secret }

// compile parses and checks one expression. Every error has a position.
func (c *Compiler) compile(src string, at pipeline.Place, names pipeline.Names) (pipeline.Expr, error) {
	lang, err := c.language(names)
	if err != nil {
		return nil, err
	}
	fail := func(offset int, code string, err error) error {
		return &pipeline.Error{Pos: at(offset), Code: code, Err: err}
	}
	if strings.TrimSpace(src) == "" {
		return nil, fail(0, "empty-expression", errors.New("expression is empty"))
	}
	if id, i := lang.dashed(src); i >= 0 {
		return nil, fail(i, "dashed-id", fmt.Errorf("stage %s has a dash in its id (write stages[%q])", id, id))
	}
	parsed, issues := lang.env.Parse(src)
	if issues.Err() != nil {
		return nil, located(src, at, "bad-expression", issues)
	}
	e := &expression{src: src}
	w := walker{lang: lang, e: e, names: names, info: parsed.NativeRep().SourceInfo(), src: src}
	w.walk(parsed.NativeRep().Expr(), nil)
	if w.err != nil {
		return nil, fail(w.offset, w.code, w.err)
	}
	checked, issues := lang.env.Check(parsed)
	if issues.Err() != nil {
		return nil, located(src, at, "wrong-type", issues)
	}
	if e.program, err = lang.env.Program(checked); err != nil {
		return nil, fail(0, "bad-expression", err)
	}
	e.typ = typeOf(checked.OutputType())
	if e.secret && w.whole {
		e.typ = pipeline.Secret
	}
	return e, nil
}

// dashed finds a stage that is written stages.my-api, which CEL reads as a
// subtraction: the longest id that fits. The offset is -1 if there is none.
func (l *language) dashed(src string) (found pipeline.ID, at int) {
	for _, id := range l.dashes {
		if i := strings.Index(src, "stages."+string(id)); i >= 0 {
			return id, i
		}
	}
	return "", -1
}

// elsewhere says how to write here what people know from other CI systems.
var elsewhere = map[string]string{
	"always":   "here it is the key always: true beside the kind",
	"success":  "here a stage runs only after its needs succeeded, unless always: true stands beside its kind",
	"failure":  "here it is always: true and a script that reads stages.NAME.status",
	"secrets":  "here a secret is a var: vars: {token: {type: secret, env: TOKEN}}, then vars.token",
	"env":      "here it is a var: vars: {name: {env: NAME}}, then vars.name",
	"github":   "here it is git.sha, git.branch, git.tag or ci.run",
	"contains": "here it is text.contains(part), or element in list",
}

// located turns CEL's issues into errors with positions in the file.
func located(src string, at pipeline.Place, code string, issues *cel.Issues) error {
	var list pipeline.ErrorList
	for _, e := range issues.Errors()[:1] { // CEL's parser reports what follows from the first error, too
		off, msg := offset(src, e.Location.Line(), e.Location.Column()), readable(e.Message)
		if m := undeclared.FindStringSubmatch(e.Message); m != nil {
			off = max(0, strings.LastIndex(src[:min(len(src), off+len(m[1]))], m[1])) // of a call, CEL names the bracket
			if cure := elsewhere[m[1]]; cure != "" {
				msg = fmt.Sprintf("there is no %s (%s)", m[1], cure)
			}
		}
		list = append(list, &pipeline.Error{Pos: at(off), Code: code, Err: errors.New(msg)})
	}
	return list.Err()
}

var undeclared = regexp.MustCompile(`undeclared reference to '(\w+)'`)

// readable takes out of a message of CEL's parser what only its authors read.
func readable(msg string) string {
	msg = strings.TrimPrefix(msg, "Syntax error: ")
	msg, _, _ = strings.Cut(msg, " expecting ")
	return "expression is not right: " + strings.ReplaceAll(msg, "'<EOF>'", "its end")
}

// offset turns CEL's line (from 1) and column (from 0, in characters) into bytes.
func offset(src string, line, col int) int {
	off := 0
	for range line - 1 {
		i := strings.IndexByte(src[off:], '\n')
		if i < 0 {
			break
		}
		off += i + 1
	}
	for i := range src[off:] {
		if col == 0 {
			return off + i
		}
		col--
	}
	return len(src)
}

// Eval returns the value in sc. Images come as [pipeline.ImageRef].
func (e *expression) Eval(sc pipeline.Scope) (any, error) {
	vars := map[string]any{}
	for _, root := range e.roots {
		v := sc.Facts[root]
		if lazy, ok := v.(func() any); ok {
			v = lazy()
		}
		if err, ok := v.(error); ok {
			return nil, fmt.Errorf("%s: %w", strings.TrimSpace(e.src), err)
		}
		vars[root] = v
	}
	if len(e.refs) > 0 {
		stages := map[string]any{}
		for _, ref := range e.refs {
			got, err := output(sc, ref)
			if err != nil {
				return nil, err
			}
			outs, _ := stages[string(ref.Stage)].(map[string]any)
			if outs == nil {
				outs = map[string]any{}
				stages[string(ref.Stage)] = outs
			}
			outs[ref.Output] = got
		}
		vars["stages"] = stages
	}
	out, _, err := e.program.Eval(vars)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimSpace(e.src), err)
	}
	got, err := native(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimSpace(e.src), err)
	}
	return got, nil
}

// output returns the value of ref as CEL sees it.
func output(sc pipeline.Scope, ref pipeline.Ref) (any, error) {
	v, err := sc.Output(ref)
	if img, ok := v.(pipeline.ImageRef); ok {
		return imageMap{"digest": img.Digest, "repository": img.Repository, "tags": img.Tags, "ref": img.Ref()}, err
	}
	return v, err
}

// walker looks at an expression before CEL checks it: it finds what is
// mentioned, and finds wrong names where it can say which is the right one.
type walker struct {
	lang   *language
	e      *expression
	names  pipeline.Names
	info   *celast.SourceInfo
	src    string
	whole  bool // the expression is nothing but one var
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

// walk visits e. Path holds the fields that are selected from e, outermost last.
func (w *walker) walk(e celast.Expr, path []celast.Expr) {
	switch e.Kind() {
	case celast.IdentKind:
		w.mention(e, path)
	case celast.SelectKind:
		w.walk(e.AsSelect().Operand(), append(slices.Clone(path), e))
	case celast.CallKind:
		call := e.AsCall()
		if call.FunctionName() == operators.Index && call.Args()[1].Kind() == celast.LiteralKind {
			if key, ok := call.Args()[1].AsLiteral().(types.String); ok && w.rooted(call.Args()[0]) {
				// stages["my-api"] is what CEL's syntax allows for stages.my-api
				e.SetKindCase(w.lang.factory.NewSelect(e.ID(), call.Args()[0], string(key)))
				w.walk(e, path)
				return
			}
		}
		if call.IsMemberFunction() {
			w.walk(call.Target(), nil)
		}
		for _, a := range call.Args() {
			w.walk(a, nil)
		}
	case celast.StructKind:
		w.fail(e, "no-messages", errors.New("there are no messages here (write a map: {'key': value})"))
	case celast.ListKind:
		for _, el := range e.AsList().Elements() {
			w.walk(el, nil)
		}
	case celast.MapKind:
		for _, en := range e.AsMap().Entries() {
			w.walk(en.AsMapEntry().Key(), nil)
			w.walk(en.AsMapEntry().Value(), nil)
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		for _, sub := range []celast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			w.walk(sub, nil)
		}
	}
}

// rooted reports whether e is one of the names with fields, or a stage.
func (w *walker) rooted(e celast.Expr) bool {
	if e.Kind() == celast.SelectKind {
		op := e.AsSelect().Operand()
		return op.Kind() == celast.IdentKind && op.AsIdent() == "stages"
	}
	return e.Kind() == celast.IdentKind && w.lang.fields["slipway."+e.AsIdent()] != nil
}

// mention checks a name and the fields selected from it.
func (w *walker) mention(e celast.Expr, path []celast.Expr) {
	name := e.AsIdent()
	fields, known := w.lang.fields["slipway."+name]
	if !known {
		return // a variable of a comprehension, or a mistake that CEL's checker names
	}
	if len(path) == 0 {
		w.fail(e, "incomplete-name", fmt.Errorf("%s is not a value (write %s.NAME with one of %s)", name, name, strings.Join(pipeline.Keys(fields), ", ")))
		return
	}
	slices.Reverse(path)
	first := path[0].AsSelect().FieldName()
	if _, ok := fields[first]; !ok {
		w.fail(path[0], "unknown-name", fmt.Errorf("%s %q%s%s", unknown(name), first,
			pipeline.Nearest(first, pipeline.Keys(fields)), choice(pipeline.Keys(fields))))
		return
	}
	if name != "stages" {
		w.e.roots = append(w.e.roots, name)
		if name == "vars" && w.names.Vars[first] == pipeline.Secret {
			w.e.secret = true
			w.whole = strings.TrimSpace(w.src) == "vars."+first
		}
		return
	}
	id, outputs := pipeline.ID(first), w.names.Stages[pipeline.ID(first)]
	if len(path) == 1 {
		w.fail(path[0], "incomplete-name", fmt.Errorf("stage %s is not a value (write stages.%s.NAME with one of %s)", id, id, strings.Join(pipeline.Keys(outputs), ", ")))
		return
	}
	out := path[1].AsSelect().FieldName()
	if _, ok := outputs[out]; !ok {
		w.fail(path[1], "unknown-output", fmt.Errorf("stage %s has no output %q%s%s", id, out,
			pipeline.Nearest(out, pipeline.Keys(outputs)), choice(pipeline.Keys(outputs))))
		return
	}
	if ref := (pipeline.Ref{Stage: id, Output: out}); !slices.Contains(w.e.refs, ref) {
		w.e.refs = append(w.e.refs, ref)
	}
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
