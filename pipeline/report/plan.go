package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Plan writes plan for a person to read.
func Plan(w io.Writer, plan *pipeline.Plan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "plan for %s", plan.Pipeline)
	if plan.Environment != "" {
		fmt.Fprintf(&b, " in %s", plan.Environment)
	}
	if plan.From != "" {
		fmt.Fprintf(&b, " from release %s", plan.From)
	}
	fmt.Fprintf(&b, ": %s, %s\n", Count(stages(plan), "stage"), Count(plan.Effects(), "change"))
	for _, s := range plan.Steps {
		fmt.Fprintf(&b, "\n%s (%s)", s.ID, s.Kind)
		if len(s.After) > 0 {
			fmt.Fprintf(&b, " after %s", join(s.After))
		}
		b.WriteString(": " + verb(s) + "\n")
		for _, n := range s.Notes {
			fmt.Fprintf(&b, "  # %s\n", Tame(n))
		}
		if s.Skip != "" || s.Idle {
			continue
		}
		effects(&b, s)
	}
	if err := plan.Unchecked(); err != nil {
		b.WriteString("\nwhat could not be checked, and is planned as if nothing was there:\n")
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(&b, "  %s\n", Tame(strings.TrimRight(line, "\n")))
		}
	}
	held(&b, plan)
	if plan.Release != "" {
		fmt.Fprintf(&b, "\nrelease (of a green run)\n  push      %s\n", Tame(plan.Release))
	}
	for _, name := range pipeline.Keys(plan.Outputs) {
		fmt.Fprintf(&b, "\noutput %s = %s", name, Tame(plan.Outputs[name].String()))
	}
	if len(plan.Outputs) > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// effects writes what a step would change.
func effects(b *strings.Builder, s pipeline.Step) {
	for _, e := range s.Effects {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-9s %s  %s", e.Verb, Tame(e.Object), Tame(e.Detail)), " ") + "\n")
		for line := range strings.Lines(e.Diff) {
			fmt.Fprintf(b, "      %s\n", Tame(strings.TrimRight(line, "\n")))
		}
	}
}

// held writes what has to be approved before a run begins.
func held(b *strings.Builder, plan *pipeline.Plan) {
	err := plan.Held()
	if err == nil {
		return
	}
	b.WriteString("\nwhat keeps a run from beginning:\n")
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(b, "  %s\n", Tame(strings.TrimRight(line, "\n")))
	}
}

// Plans writes several plans, one after the other.
func Plans(w io.Writer, plans []*pipeline.Plan) error {
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := Plan(w, p); err != nil {
			return err
		}
	}
	return nil
}

// stages returns how many stages plan has; cells of a matrix are of one.
func stages(plan *pipeline.Plan) int {
	ids := map[pipeline.ID]bool{}
	for _, s := range plan.Steps {
		ids[s.ID.Stage()] = true
	}
	return len(ids)
}

// verb says in a word or two what becomes of a step.
func verb(s pipeline.Step) string {
	switch {
	case s.Skip != "":
		return "skip, " + s.Skip
	case s.Idle:
		return "not needed"
	case s.Do == nil && s.From != "":
		return "taken from release " + s.From
	case s.Do == nil:
		return "nothing to do"
	case len(s.Effects) == 0:
		return "nothing to change"
	}
	return Count(len(s.Effects), "change")
}

// PlansJSON writes plans as JSON, with what could not be checked beside the
// steps: one plan as an object, several as a list.
func PlansJSON(w io.Writer, plans []*pipeline.Plan) error {
	type checked struct {
		*pipeline.Plan
		Unchecked []string `json:"unchecked,omitempty"`
	}
	var list []checked
	for _, p := range plans {
		c := checked{Plan: p}
		if p.Missing != nil {
			c.Unchecked = append(c.Unchecked, p.Missing.Error())
		}
		for _, s := range p.Steps {
			for _, err := range s.Unchecked {
				c.Unchecked = append(c.Unchecked, err.Error())
			}
		}
		list = append(list, c)
	}
	if len(list) == 1 {
		return writeJSON(w, list[0])
	}
	return writeJSON(w, list)
}

// Count returns a number with its noun: "1 stage", "2 stages".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func join[S ~string](words []S) string {
	s := make([]string, len(words))
	for i, w := range words {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}

// name returns what an event is about.
func name(ev pipeline.Event) string { return cmp.Or(Tame(string(ev.Step)), "run") }
