package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// At returns the id of the step that is one cell of the stage: svc[cart].
func (id ID) At(cell string) ID { return id + "[" + ID(cell) + "]" }

// Stage returns the id of the stage that a step is of: svc for svc[cart].
func (id ID) Stage() ID {
	stage, _, _ := strings.Cut(string(id), "[")
	return ID(stage)
}

// Limits of a matrix: what one has that says nothing of it, and the most that
// one may ask for.
const (
	MaxCells     = 256
	MostMaxCells = 4096
)

// CellFact is the name of the fact that is the name of the cell itself.
const CellFact = "cell"

// A Matrix makes several steps of one stage: one for each cell, which is one
// combination of the values of its axes.
type Matrix struct {
	Pos     Pos
	Axes    []Axis // in the order of the file, which is that of a cell's name
	Include []Entry
	Exclude []Entry
	Max     int // cells at most; zero means MaxCells
}

// An Axis is one of the lists that a matrix combines.
type Axis struct {
	Name   string
	Pos    Pos
	Values []Value // as they are written, or
	List   Value   // all of them as one expression
}

// An Entry is some values of a cell.
type Entry struct {
	Pos    Pos
	Values map[string]Value
}

// A Cell is one combination of values.
type Cell struct {
	Name   string         // the values of the axes, such as "cart,a"
	Values map[string]any // what expressions read as matrix
}

// cellValue reports whether a value of a matrix may look like text: it is part of
// names. (As a regular expression it would cost every start of slipway 6 ms.)
func cellValue(text string) bool {
	n := 0
	for _, r := range text {
		if n++; n > 100 || !unicode.IsLetter(r) && !unicode.IsNumber(r) && !strings.ContainsRune("._/:@+=-", r) {
			return false
		}
	}
	return n > 0
}

// Cells returns the cells that m has in sc, which knows of no step yet. An entry
// of Include adds values to the cells that agree with all that it says of axes;
// if there are none, it is a cell. The error is an [ErrorList].
func (m *Matrix) Cells(sc Scope) ([]Cell, error) {
	var errs ErrorList
	cells := []Cell{{Values: map[string]any{}}}
	if len(m.Axes) == 0 {
		cells = nil
	}
	for _, a := range m.Axes {
		vals, err := a.values(sc)
		errs.Add(a.Pos, "", "bad-value", err)
		if n := len(cells) * len(vals); n > m.limit() {
			errs.Add(m.Pos, "", "matrix-limit", m.tooMany(n))
			return nil, errs.Err()
		}
		var next []Cell
		for _, c := range cells {
			for _, v := range vals {
				next = append(next, c.with(a.Name, v))
			}
		}
		cells = next
	}
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	for _, e := range m.Exclude {
		vals, err := e.values(sc)
		errs.Add(e.Pos, "", "bad-value", err)
		before := len(cells)
		cells = slices.DeleteFunc(cells, func(c Cell) bool { return err == nil && c.agrees(vals) })
		if err == nil && len(cells) == before && before > 0 {
			errs.Add(e.Pos, "", "unused-entry", fmt.Errorf("exclude takes no cell away: none has %s", say(vals)))
		}
	}
	for _, e := range m.Include {
		vals, err := e.values(sc)
		if err == nil {
			cells, err = m.include(cells, vals)
		}
		errs.Add(e.Pos, "", "bad-value", err)
	}
	if n := len(cells); n > m.limit() {
		errs.Add(m.Pos, "", "matrix-limit", m.tooMany(n))
	}
	first := map[string]bool{}
	for _, c := range cells {
		if first[c.Name] {
			errs.Add(m.Pos, "", "duplicate-cell", fmt.Errorf("matrix has the cell %s twice", c.Name))
		}
		first[c.Name] = true
		c.Values[CellFact] = c.Name
	}
	return cells, errs.Err()
}

func (m *Matrix) limit() int {
	if m.Max > 0 {
		return m.Max
	}
	return MaxCells
}

func (m *Matrix) tooMany(n int) error {
	return fmt.Errorf("matrix has %d cells (want at most %d; set max: in it, up to %d)", n, m.limit(), MostMaxCells)
}

// include adds vals to the cells that agree with them, or as a cell.
func (m *Matrix) include(cells []Cell, vals map[string]any) ([]Cell, error) {
	own := map[string]any{} // what it says of axes
	for _, a := range m.Axes {
		if v, ok := vals[a.Name]; ok {
			own[a.Name] = v
		}
	}
	found := false
	for i, c := range cells {
		if c.agrees(own) {
			found = true
			for name, v := range vals {
				cells[i].Values[name] = v
			}
		}
	}
	if found {
		return cells, nil
	}
	c := Cell{Values: map[string]any{}}
	for _, a := range m.Axes {
		v, ok := vals[a.Name]
		if !ok {
			return cells, fmt.Errorf("include agrees with no cell, and cannot be one: it has no %s", a.Name)
		}
		c = c.with(a.Name, v)
	}
	for name, v := range vals {
		c.Values[name] = v
	}
	return append(cells, c), nil
}

// with returns c with the value of one more axis.
func (c Cell) with(axis string, v any) Cell {
	vals := map[string]any{axis: v}
	for name, old := range c.Values {
		vals[name] = old
	}
	name := fmt.Sprint(v)
	if c.Name != "" {
		name = c.Name + "," + name
	}
	return Cell{Name: name, Values: vals}
}

// agrees reports whether c has all of vals.
func (c Cell) agrees(vals map[string]any) bool {
	for name, v := range vals {
		if got, ok := c.Values[name]; !ok || fmt.Sprint(got) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

// values returns the values of a.
func (a Axis) values(sc Scope) ([]any, error) {
	if a.List.IsZero() {
		var vals []any
		for _, v := range a.Values {
			got, err := cell(v, sc)
			if err != nil {
				return nil, &Error{Pos: v.Pos, Code: "bad-value", Err: err}
			}
			vals = append(vals, got)
		}
		return vals, nil
	}
	got, err := a.List.Eval(sc)
	if err != nil {
		return nil, &Error{Pos: a.List.Pos, Code: "bad-value", Err: fmt.Errorf("%s: %w", a.Name, err)}
	}
	list, ok := got.([]any)
	if !ok {
		return nil, &Error{Pos: a.List.Pos, Code: "wrong-type", Err: fmt.Errorf("%s is %v (want a list)", a.Name, got)}
	}
	for _, v := range list {
		if _, err := cell(Known(v), sc); err != nil {
			return nil, &Error{Pos: a.List.Pos, Code: "bad-value", Err: err}
		}
	}
	return list, nil
}

func (e Entry) values(sc Scope) (map[string]any, error) {
	vals := map[string]any{}
	for name, v := range e.Values {
		got, err := v.Eval(sc)
		if err != nil {
			return nil, &Error{Pos: v.Pos, Code: "bad-value", Err: err}
		}
		vals[name] = got
	}
	return vals, nil
}

// cell returns v as a value of an axis.
func cell(v Value, sc Scope) (any, error) {
	got, err := v.Eval(sc)
	if err != nil {
		return nil, err
	}
	switch TypeOf(got) {
	case String, Int, Bool:
		if text := fmt.Sprint(got); cellValue(text) {
			return got, nil
		}
		return nil, fmt.Errorf("%q cannot be a value of a matrix, for it becomes part of names (want letters, digits and . _ / : @ + = -)", got)
	}
	return nil, fmt.Errorf("%v cannot be a value of a matrix (want text, a whole number, true or false)", got)
}

func say(vals map[string]any) string {
	var words []string
	for _, name := range Keys(vals) {
		words = append(words, fmt.Sprintf("%s: %v", name, vals[name]))
	}
	return strings.Join(words, ", ")
}
