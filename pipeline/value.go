package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Type is what a value can be. Images and secrets are types of their own, so
// that neither can be mistaken for text.
type Type string

// The types of the pipeline language.
const (
	Any    Type = "any" // known only when it is there
	String Type = "string"
	Int    Type = "int"
	Bool   Type = "bool"
	List   Type = "list"
	Map    Type = "map"
	Secret Type = "secret"
	Image  Type = "image"
	Pushed Type = "pushed image" // an image that is in a repository, so that nodes can pull it
)

// An ImageRef is the value of type [Image]: a digest and where its content lies.
type ImageRef struct {
	Digest     string   `json:"digest"`
	Repository string   `json:"repository,omitempty"` // empty: only the builder that built it has it
	Tags       []string `json:"tags,omitempty"`
}

// Ref returns "repository:tag@digest", or "" for an image that was not pushed.
func (i ImageRef) Ref() string {
	if i.Repository == "" {
		return ""
	}
	if len(i.Tags) == 0 {
		return i.Repository + "@" + i.Digest
	}
	return i.Repository + ":" + i.Tags[0] + "@" + i.Digest
}

// String returns the reference of a pushed image and the digest of another.
func (i ImageRef) String() string {
	if r := i.Ref(); r != "" {
		return r
	}
	return i.Digest
}

// A Ref is a mention of a stage's output in an expression. Of a stage with a
// matrix, that is one cell, by its name or by a value of the mentioning stage's
// own matrix, or all cells if neither is set.
type Ref struct {
	Stage  ID
	Cell   string // the name of the cell, or
	Key    string // which value of matrix is its name
	Output string
}

// In returns r with the cell that is meant in sc.
func (r Ref) In(sc Scope) Ref {
	if matrix, ok := sc.Facts["matrix"].(map[string]any); ok && r.Key != "" {
		r.Cell, r.Key = fmt.Sprint(matrix[r.Key]), ""
	}
	return r
}

// Step returns the step whose output r is: the stage itself if it has no matrix.
func (r Ref) Step() ID {
	if r.Cell != "" {
		return r.Stage.At(r.Cell)
	}
	return r.Stage
}

// MatrixValue returns the Value that is one value of the stage's own matrix.
func MatrixValue(pos Pos, name string) Value { return Value{Pos: pos, expr: matrixValue(name)} }

type matrixValue string

func (matrixValue) Refs() []Ref  { return nil }
func (matrixValue) Type() Type   { return Any }
func (matrixValue) Secret() bool { return false }
func (m matrixValue) Eval(sc Scope) (any, error) {
	matrix, _ := sc.Facts["matrix"].(map[string]any)
	v, ok := matrix[string(m)]
	if !ok {
		return nil, fmt.Errorf("this cell has no matrix.%s", string(m))
	}
	return v, nil
}

// An Expr is an expression of the pipeline file, already checked.
type Expr interface {
	// Refs returns the outputs that the expression mentions.
	Refs() []Ref
	// Type returns the type that Eval's result has.
	Type() Type
	// Secret reports whether the expression mentions a secret.
	Secret() bool
	// Eval returns the value in sc. Its error wraps [ErrUnkept] while an output
	// that it needs is promised and not yet known.
	Eval(sc Scope) (any, error)
}

// ErrUnkept reports a promise that no finished stage has kept.
var ErrUnkept = errors.New("not known yet")

// A Value is something written in a pipeline file: a literal, or an expression
// that may be known only while running. A struct field of type Value may be
// promised; a field of a plain Go type must be known while planning.
type Value struct {
	Pos  Pos
	lit  any
	expr Expr
}

// Known returns a Value that is already known.
func Known(v any) Value { return Value{lit: v} }

// Written returns the Value of an expression at pos.
func Written(pos Pos, e Expr) Value { return Value{Pos: pos, expr: e} }

// Promise returns a Value that stage will make known as output.
func Promise(stage ID, output string, t Type) Value {
	return Value{expr: promise{Ref{Stage: stage, Output: output}, t}}
}

// Expr returns the expression that v is, or nil for a literal.
func (v Value) Expr() Expr { return v.expr }

// IsZero reports whether v was left out.
func (v Value) IsZero() bool { return v.lit == nil && v.expr == nil }

// Refs returns the outputs that v waits for.
func (v Value) Refs() []Ref {
	if v.expr == nil {
		return nil
	}
	return v.expr.Refs()
}

// Secret reports whether v must not be shown.
func (v Value) Secret() bool { return v.expr != nil && v.expr.Secret() }

// Type returns the type of v.
func (v Value) Type() Type {
	if v.expr != nil {
		return v.expr.Type()
	}
	return TypeOf(v.lit)
}

// Eval returns the value in sc. Its error wraps [ErrUnkept] while v is promised.
func (v Value) Eval(sc Scope) (any, error) {
	if v.expr == nil {
		return v.lit, nil
	}
	return v.expr.Eval(sc)
}

// Text returns the value in sc as text.
func (v Value) Text(sc Scope) (string, error) {
	got, err := v.Eval(sc)
	if err != nil || got == nil {
		return "", err
	}
	return fmt.Sprint(got), nil
}

// Image returns the image that v is in sc.
func (v Value) Image(sc Scope) (ImageRef, error) {
	got, err := v.Eval(sc)
	if err != nil {
		return ImageRef{}, err
	}
	switch img := got.(type) {
	case ImageRef:
		return img, nil
	case map[string]any: // from a plan or release that went through JSON
		b, err := json.Marshal(img)
		if err != nil {
			return ImageRef{}, err
		}
		var ref ImageRef
		return ref, json.Unmarshal(b, &ref)
	}
	return ImageRef{}, fmt.Errorf("%v is no image", got)
}

// Show returns the text of v as far as it is known in sc: "r.example/api:(known
// after api)". Of a secret it is "***".
func (v Value) Show(sc Scope) string {
	if v.Secret() {
		return "***"
	}
	if text, err := v.Text(sc); err == nil {
		return text
	}
	if e, ok := v.expr.(interface{ Show(Scope) string }); ok {
		if text := e.Show(sc); text != "" {
			return text
		}
	}
	return note(in(v.Refs(), sc))
}

// In returns v as it is known in sc: a literal, or a promise whose String is
// what v shows.
func (v Value) In(sc Scope) Value {
	if v.expr == nil || v.Secret() {
		return v
	}
	if got, err := v.expr.Eval(sc); err == nil {
		return Value{Pos: v.Pos, lit: got}
	}
	return Value{Pos: v.Pos, expr: shown{v.expr, in(v.Refs(), sc), v.Show(sc)}}
}

// shown is an Expr with the text of what is known of it.
type shown struct {
	Expr
	refs []Ref
	text string
}

func (s shown) Refs() []Ref { return s.refs }

func in(refs []Ref, sc Scope) []Ref {
	refs = slices.Clone(refs)
	for i, r := range refs {
		refs[i] = r.In(sc)
	}
	return refs
}

// String returns the text of a known Value, "***" for a secret, or a note that
// says after which stage it will be known.
func (v Value) String() string {
	if s, ok := v.expr.(shown); ok {
		return s.text
	}
	switch {
	case v.Secret():
		return "***"
	case v.expr != nil:
		return note(v.Refs())
	}
	return fmt.Sprint(v.lit)
}

// note says after which steps a promise will be known.
func note(refs []Ref) string {
	if len(refs) == 0 {
		return "(an expression)"
	}
	var from []string
	for _, r := range refs {
		from = append(from, string(r.Step()))
	}
	slices.Sort(from)
	return "(known after " + strings.Join(slices.Compact(from), ", ") + ")"
}

// MarshalJSON encodes a known Value as itself and a promise as its note.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.expr == nil {
		return json.Marshal(v.lit)
	}
	return json.Marshal(v.String())
}

// TypeOf returns the type of a Go value as the language sees it.
func TypeOf(v any) Type {
	switch v.(type) {
	case string:
		return String
	case int, int64:
		return Int
	case bool:
		return Bool
	case []any, []string:
		return List
	case map[string]any:
		return Map
	case ImageRef:
		return Image
	}
	return Any
}

// promise is an Expr that is one output.
type promise struct {
	ref Ref
	typ Type
}

func (p promise) Refs() []Ref                { return []Ref{p.ref} }
func (p promise) Type() Type                 { return p.typ }
func (p promise) Secret() bool               { return false }
func (p promise) Eval(sc Scope) (any, error) { return sc.Output(p.ref) }
