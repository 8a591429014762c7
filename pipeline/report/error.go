package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Errors writes err for a person: each error with the line it is about and a
// caret below the place. Source returns the text of a file, or nil.
func Errors(w io.Writer, err error, source func(file string) []byte) {
	var list pipeline.ErrorList
	if !errors.As(err, &list) {
		var one *pipeline.Error
		if !errors.As(err, &one) {
			for line := range strings.Lines(err.Error()) {
				fmt.Fprintf(w, "error: %s\n", Tame(strings.TrimRight(line, "\n")))
			}
			return
		}
		list = pipeline.ErrorList{one}
	}
	for _, e := range list {
		for i, line := range strings.Split(e.Error(), "\n") {
			if i > 0 {
				line = "  " + line
			}
			fmt.Fprintln(w, Tame(line))
		}
		excerpt(w, e.Pos, source(e.Pos.File))
	}
	if len(list) > 1 {
		fmt.Fprintf(w, "%d errors\n", len(list))
	}
}

// excerpt writes the line at pos with a caret below it.
func excerpt(w io.Writer, pos pipeline.Pos, text []byte) {
	lines := strings.Split(string(text), "\n")
	if pos.Line == 0 || pos.Line > len(lines) || pos.Col == 0 {
		return
	}
	runes := []rune(strings.TrimRight(lines[pos.Line-1], "\r"))
	if indent := strings.IndexFunc(string(runes), func(r rune) bool { return r != ' ' }); pos.Col == 1 && indent > 0 { // only the line is known
		pos.Col += indent
	}
	const most = 160 // characters of a line
	from := max(0, pos.Col-1-most/2)
	if from > len(runes) {
		return
	}
	shown := runes[from:min(len(runes), from+most)]
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(runes[from:min(len(runes), pos.Col-1)]))
	fmt.Fprintf(w, "  %5d | %s\n        | %s^\n", pos.Line, Tame(string(shown)), Tame(pad))
}

// ErrorsJSON writes err as a JSON list for programs.
func ErrorsJSON(w io.Writer, err error) error {
	type entry struct {
		File    string      `json:"file,omitempty"`
		Line    int         `json:"line,omitempty"`
		Col     int         `json:"col,omitempty"`
		Code    string      `json:"code,omitempty"`
		Stage   pipeline.ID `json:"stage,omitempty"`
		Message string      `json:"message"`
	}
	var list pipeline.ErrorList
	var one *pipeline.Error
	out := []entry{}
	if !errors.As(err, &list) && errors.As(err, &one) {
		list = pipeline.ErrorList{one}
	}
	if len(list) > 0 {
		for _, e := range list {
			out = append(out, entry{e.Pos.File, e.Pos.Line, e.Pos.Col, e.Code, e.Stage, e.Err.Error()})
		}
	} else {
		out = append(out, entry{Message: err.Error()})
	}
	return writeJSON(w, out)
}
