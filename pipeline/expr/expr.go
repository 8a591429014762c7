package expr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/slipway-ci/slipway/pipeline"
)

// maxCost is how much work an expression may be: visits of a list's elements and
// the like, as CEL counts them.
const maxCost = 1_000_000

// An expression is one CEL expression, checked.
type expression struct {
	src     string
	stage   pipeline.ID // whose words these are
	refs    []pipeline.Ref
	maps    []pipeline.ID   // stages with a matrix that it mentions
	images  map[string]bool // outputs among refs that are images
	opaque  bool            // a promise is used otherwise than as a part that a text is joined of
	roots   []string        // names of facts that it mentions
	adapter types.Adapter
	typ     pipeline.Type
	elem    pipeline.Type
	secrets []string // vars that it mentions
	program cel.Program
}

func (e *expression) Refs() []pipeline.Ref { return e.refs }
func (e *expression) Type() pipeline.Type  { return e.typ }
func (e *expression) Secret() bool         { return len(e.secrets) > 0 }

// Secrets returns the vars that are secrets and that the expression mentions.
func (e *expression) Secrets() []string { return e.secrets }

// A sense is what tells expressions of a file apart: of two with the same, one is compiled,
// however many cells a stage has.
type sense struct {
	src   string
	stage pipeline.ID // where it mentions matrix, which differs from stage to stage
}

// compile parses and checks one expression. Every error has a position.
func (c *Compiler) compile(src string, at pipeline.Place, names pipeline.Names) (pipeline.Expr, error) {
	lang, err := c.language(names)
	if err != nil {
		return nil, err
	}
	fail := func(offset int, code string, err error) error {
		return &pipeline.Error{Pos: at(offset), Code: code, Err: err}
	}
	key := sense{src: src}
	if strings.Contains(src, "matrix") {
		key.stage = names.Stage // all others mean the same in every stage
	}
	if known, ok := lang.known.Load(key); ok {
		return known.(*expression), nil
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
	e := &expression{src: src, stage: names.Stage, adapter: lang.adapter, images: map[string]bool{}}
	top := parsed.NativeRep().Expr()
	w := walker{lang: lang, e: e, names: names, info: parsed.NativeRep().SourceInfo(), src: src, top: top}
	w.walk(top, nil, false)
	if w.err != nil {
		return nil, fail(w.offset, w.code, w.err)
	}
	checked, issues := lang.env.Check(parsed)
	if issues.Err() != nil {
		return nil, located(src, at, "wrong-type", issues)
	}
	if e.program, err = lang.env.Program(checked, cel.CostLimit(maxCost), lang.bounds); err != nil {
		return nil, fail(0, "bad-expression", err)
	}
	e.typ, e.elem = typeOf(checked.OutputType()), pipeline.Any
	if params := checked.OutputType().Parameters(); e.typ == pipeline.List && len(params) == 1 {
		e.elem = typeOf(params[0])
	}
	if e.Secret() && w.whole {
		e.typ = pipeline.Secret
	}
	lang.known.Store(key, e)
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

// located turns CEL's issues into errors with positions in the file.
func located(src string, at pipeline.Place, code string, issues *cel.Issues) error {
	var list pipeline.ErrorList
	for _, e := range issues.Errors()[:1] { // CEL's parser reports what follows from the first error, too
		off, msg := offset(src, e.Location.Line(), e.Location.Column()), readable(e.Message)
		if m := undeclared().FindStringSubmatch(e.Message); m != nil {
			off = word(src, off, m[1])
			msg = fmt.Sprintf("there is no %s%s", m[1], pipeline.Nearest(m[1], pipeline.Keys(usage)))
			if cure := habit(m[1], src[off:]); cure != "" {
				msg = fmt.Sprintf("there is no %s (here it is written %s)", m[1], cure)
			}
		}
		if m := undefined().FindStringSubmatch(e.Message); m != nil {
			fields := append(pipeline.Keys(versionFields()), pipeline.Keys(pipeline.ImageFields(pipeline.Pushed))...)
			msg = fmt.Sprintf("there is no field %s%s", m[1], pipeline.Nearest(m[1], fields))
		}
		if m := noOverload().FindStringSubmatch(e.Message); m != nil && usage[m[1]] != "" {
			msg = fmt.Sprintf("%s is called with %s (want %s)", m[1], m[2], usage[m[1]])
			start := word(src, off, m[1])
			if cure := habit(m[1], src[start:]); cure != "" && !strings.HasSuffix(src[:start], ".") {
				off, msg = start, fmt.Sprintf("%s takes no text as its first argument (here it is written %s)", m[1], cure)
			}
		}
		list = append(list, &pipeline.Error{Pos: at(off), Code: code, Err: errors.New(msg)})
	}
	return list.Err()
}

// word returns where name begins in src, if its end or its beginning is at off:
// of a call, CEL names the bracket.
func word(src string, off int, name string) int {
	return max(0, strings.LastIndex(src[:min(len(src), off+len(name))], name))
}

var undefined = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`undefined field '(\w+)'`) })

var undeclared = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`undeclared reference to '(\w+)'`) })

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
