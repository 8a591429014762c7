package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/slipway-ci/slipway/pipeline"
)

// Vars writes what the vars are and what set them, for a person. Secrets are
// hidden.
func Vars(w io.Writer, settings []pipeline.Setting) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "VAR\tTYPE\tVALUE\tFROM")
	for _, s := range settings {
		value := "***"
		switch {
		case s.Value == nil:
			value = "(not set)"
		case s.Var.Type != pipeline.Secret:
			value = strings.ReplaceAll(Tame(compact(s.Value)), "\t", " ")
		}
		fmt.Fprintln(tw, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s\t%s", s.Var.Name, s.Var.Type, value, s.From), "\t"))
	}
	return tw.Flush()
}

// compact returns v as it may stand behind --var NAME=.
func compact(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// VarsJSON writes what the vars are and what set them, as JSON. Secrets have no
// value there.
func VarsJSON(w io.Writer, settings []pipeline.Setting) error {
	type entry struct {
		Name        string        `json:"name"`
		Type        pipeline.Type `json:"type"`
		Value       any           `json:"value,omitempty"`
		From        string        `json:"from,omitempty"`
		Description string        `json:"description,omitempty"`
	}
	list := []entry{}
	for _, s := range settings {
		e := entry{s.Var.Name, s.Var.Type, s.Value, s.From, s.Var.Description}
		if s.Var.Type == pipeline.Secret {
			e.Value = nil
		}
		list = append(list, e)
	}
	return writeJSON(w, list)
}
