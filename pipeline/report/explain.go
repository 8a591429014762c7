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
func Vars(w io.Writer, origins []pipeline.Origin) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "VAR\tTYPE\tVALUE\tFROM")
	for _, o := range origins {
		value := "***"
		switch {
		case o.Value == nil:
			value = "(not set)"
		case o.Var.Type != pipeline.Secret:
			value = Tame(compact(o.Value))
		}
		fmt.Fprintln(tw, strings.TrimRight(fmt.Sprintf("%s\t%s\t%s\t%s", o.Var.Name, o.Var.Type, value, o.From), "\t"))
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
func VarsJSON(w io.Writer, origins []pipeline.Origin) error {
	type entry struct {
		Name        string        `json:"name"`
		Type        pipeline.Type `json:"type"`
		Value       any           `json:"value,omitempty"`
		From        string        `json:"from,omitempty"`
		Description string        `json:"description,omitempty"`
	}
	list := []entry{}
	for _, o := range origins {
		e := entry{o.Var.Name, o.Var.Type, o.Value, o.From, o.Var.Description}
		if o.Var.Type == pipeline.Secret {
			e.Value = nil
		}
		list = append(list, e)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}
