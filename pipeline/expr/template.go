package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/pipeline"
)

const (
	opening = "${{"
	closing = "}}"
)

// Compiler implements [pipeline.Compiler] with CEL. The zero Compiler is ready
// to use, by several goroutines at once; it keeps what it has learned of the last
// names it was given.
type Compiler struct {
	mu    sync.Mutex // guards what follows
	names pipeline.Names
	lang  *language
}

var _ pipeline.Compiler = (*Compiler)(nil)

// Template compiles text that may hold expressions between "${{" and "}}". Text
// that is exactly one expression keeps its type; all else is a string. "$${{"
// stands for "${{" itself.
func (c *Compiler) Template(text string, at pipeline.Place, names pipeline.Names) (pipeline.Expr, error) {
	if !strings.Contains(text, opening) {
		return nil, nil
	}
	var t template
	for rest, off := text, 0; ; {
		i := strings.Index(rest, opening)
		if i < 0 {
			t.add(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			t.add(rest[:i-1] + opening)
			off += i + len(opening)
			rest = text[off:]
			continue
		}
		t.add(rest[:i])
		off += i + len(opening)
		n := end(text[off:])
		if n < 0 {
			return nil, &pipeline.Error{
				Pos: at(off - len(opening)), Code: "unclosed-expression",
				Err: errors.New(`expression is not closed (want "}}" after it)`),
			}
		}
		e, err := c.compile(text[off:off+n], shift(at, off), names)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, part{expr: e, at: at(off)})
		off += n + len(closing)
		rest = text[off:]
	}
	if len(t.parts) == 1 && t.parts[0].expr != nil {
		return t.parts[0].expr, nil
	}
	for _, p := range t.parts {
		if p.expr == nil {
			continue
		}
		switch p.expr.Type() {
		case pipeline.Image, pipeline.Pushed:
			return nil, &pipeline.Error{
				Pos: p.at, Code: "image-as-text",
				Err: errors.New("an image is no text (write .digest, or .ref for the reference of one that is pushed)"),
			}
		case pipeline.List, pipeline.Map:
			return nil, &pipeline.Error{
				Pos: p.at, Code: "wrong-type",
				Err: fmt.Errorf("a %s cannot stand inside a text", p.expr.Type()),
			}
		}
	}
	return t, nil
}

// Bare compiles text that is one expression, as in if:.
func (c *Compiler) Bare(text string, at pipeline.Place, names pipeline.Names) (pipeline.Expr, error) {
	if i := strings.Index(text, opening); i >= 0 {
		return nil, &pipeline.Error{
			Pos: at(i), Code: "bare-expression",
			Err: errors.New(`an expression stands bare here (leave out "${{" and "}}")`),
		}
	}
	return c.compile(text, at, names)
}

func shift(at pipeline.Place, by int) pipeline.Place {
	return func(offset int) pipeline.Pos { return at(offset + by) }
}

// end returns where the expression at the start of s ends: at the first "}}"
// outside of CEL's quotes and brackets. It is -1 if there is none.
func end(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '[', '(':
			depth++
		case ']', ')':
			depth--
		case '}':
			if depth <= 0 && strings.HasPrefix(s[i:], closing) {
				return i
			}
			depth--
		case '"', '\'':
			n := quoted(s[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		}
	}
	return -1
}

// quoted returns the length of the CEL string literal at the start of s, or -1.
func quoted(s string) int {
	q := s[:1]
	if strings.HasPrefix(s, q+q+q) {
		q = q + q + q
	}
	for i := len(q); i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if strings.HasPrefix(s[i:], q) {
			return i + len(q)
		}
	}
	return -1
}

// template is text with expressions in it.
type template struct{ parts []part }

type part struct {
	text string
	expr pipeline.Expr // nil for text
	at   pipeline.Pos
}

func (t *template) add(text string) {
	if text != "" {
		t.parts = append(t.parts, part{text: text})
	}
}

func (t template) Refs() []pipeline.Ref {
	var refs []pipeline.Ref
	for _, p := range t.parts {
		if p.expr != nil {
			refs = append(refs, p.expr.Refs()...)
		}
	}
	return refs
}

func (t template) Type() pipeline.Type { return pipeline.String }

func (t template) Secret() bool { return len(t.Secrets()) > 0 }

// Secrets returns the vars that are secrets and that an expression mentions.
func (t template) Secrets() []string {
	var all []string
	for _, p := range t.parts {
		if e, ok := p.expr.(*expression); ok {
			all = append(all, e.secrets...)
		}
	}
	return slices.Compact(all)
}

// Show returns the text as far as it is known in sc.
func (t template) Show(sc pipeline.Scope) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.expr != nil {
			b.WriteString(pipeline.Written(p.at, p.expr).Show(sc))
		}
	}
	return b.String()
}

func (t template) Eval(sc pipeline.Scope) (any, error) {
	var b strings.Builder
	left := maxText
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.expr == nil {
			continue
		}
		v, err := p.expr.Eval(sc)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprint(v)
		if left -= len(text); left < 0 {
			return nil, errors.New("expressions make a text of more than 1 MiB (put shorter ones into it)")
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
