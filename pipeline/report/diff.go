package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Diff writes what the steps of a plan would change, each object with its fields,
// for a person to read.
func Diff(w io.Writer, plan *pipeline.Plan) error {
	var b strings.Builder
	for n, s := range plan.Steps {
		if n > 0 {
			b.WriteByte('\n')
		}
		if len(s.Effects) == 0 {
			fmt.Fprintf(&b, "%s: nothing differs\n", s.ID)
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", s.ID, Count(len(s.Effects), "change"))
		effects(&b, s)
	}
	held(&b, plan)
	_, err := io.WriteString(w, b.String())
	return err
}

// DiffJSON writes the same as JSON: for each step its changes, and for each of them
// a line for every field.
func DiffJSON(w io.Writer, plan *pipeline.Plan) error {
	type change struct {
		Verb   string   `json:"verb"`
		Object string   `json:"object"`
		Fields []string `json:"fields,omitempty"` // "path: there → ours"
	}
	type step struct {
		ID      pipeline.ID `json:"id"`
		Changes []change    `json:"changes"`
	}
	document := struct {
		Pipeline    string   `json:"pipeline"`
		Environment string   `json:"environment,omitempty"`
		Steps       []step   `json:"steps"`
		Held        []string `json:"held,omitempty"` // what has to be approved before a run begins
	}{Pipeline: plan.Pipeline, Environment: plan.Environment}
	for _, s := range plan.Steps {
		one := step{ID: s.ID, Changes: []change{}}
		for _, e := range s.Effects {
			c := change{Verb: e.Verb, Object: Tame(e.Object)}
			for line := range strings.Lines(e.Diff) {
				c.Fields = append(c.Fields, Tame(strings.TrimRight(line, "\n")))
			}
			one.Changes = append(one.Changes, c)
		}
		document.Steps = append(document.Steps, one)
	}
	if err := plan.Held(); err != nil {
		for line := range strings.Lines(err.Error()) {
			document.Held = append(document.Held, Tame(strings.TrimRight(line, "\n")))
		}
	}
	return writeJSON(w, document)
}
