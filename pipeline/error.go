package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Pos is a place in a pipeline file. Line and Col count from 1; Col counts
// characters, not bytes.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// An Error is something wrong at a place in a pipeline file.
type Error struct {
	Pos   Pos
	Code  string // stable, such as "unknown-key"; programs may match it
	Stage ID     // empty if no stage is to blame
	Err   error
}

func (e *Error) Error() string {
	where := ""
	if e.Pos != (Pos{}) {
		where = e.Pos.String() + ": "
	}
	if e.Stage != "" {
		where += "stage " + string(e.Stage) + ": "
	}
	return where + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// A FieldError is something wrong with one field of a stage's body. Whoever
// knows where the field stands in the file turns it into an [Error].
type FieldError struct {
	Field string // path with dots, such as "push.repository"
	Code  string // see [Error]
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// An ErrorList is every error found, so that the user can mend them in one go.
type ErrorList []*Error

// Add appends err, unless it is nil. An error that has a position keeps it, and
// a list is added one by one.
func (l *ErrorList) Add(pos Pos, stage ID, code string, err error) {
	if err == nil {
		return
	}
	var list ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			l.Add(pos, stage, code, e)
		}
		return
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Stage == "" {
			e.Stage = stage
		}
		*l = append(*l, e)
		return
	}
	*l = append(*l, &Error{Pos: pos, Code: code, Stage: stage, Err: err})
}

// Err returns l in file order as an error, or nil if l is empty.
func (l ErrorList) Err() error {
	if len(l) == 0 {
		return nil
	}
	slices.SortStableFunc(l, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return l
}

func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.Is and errors.As see every error in l.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}
