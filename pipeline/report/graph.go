package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Graph writes the stages of p for a person, each after all it needs. A need
// that only orders says so; the others hand a value on.
func Graph(w io.Writer, p *pipeline.Pipeline) error {
	stages, err := ordered(p)
	if err != nil {
		return err
	}
	wide, kinds := 0, 0
	for _, st := range stages {
		wide, kinds = max(wide, len(st.ID)), max(kinds, len(st.Kind))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", p.Name, Count(len(stages), "stage"))
	for _, st := range stages {
		line := fmt.Sprintf("%-*s  %-*s", wide, st.ID, kinds, st.Kind)
		for i, n := range st.Needs {
			sep := ", "
			if i == 0 {
				sep = "  ← "
			}
			line += sep + string(n.Stage)
			if how := manner(n); how != "" {
				line += " (" + how + ")"
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// manner says how a need differs from one that hands a value on.
func manner(n pipeline.Need) string {
	var words []string
	if !n.Data {
		words = append(words, "order")
	}
	if n.Optional {
		words = append(words, "optional")
	}
	return strings.Join(words, ", ")
}

// GraphMermaid writes the stages of p as a flowchart, as Markdown on GitHub and
// GitLab shows it: a thick arrow hands a value on, a thin one only orders, and a
// dotted one is optional.
func GraphMermaid(w io.Writer, p *pipeline.Pipeline) error {
	arrow := func(n pipeline.Need) string {
		switch {
		case n.Optional && n.Data:
			return "-. value .->"
		case n.Optional:
			return "-.->"
		case n.Data:
			return "==>"
		}
		return "-->"
	}
	return drawn(w, p, drawing{
		head: "flowchart LR\n",
		node: func(name string, st pipeline.Stage) string {
			// Inside quotes, Mermaid reads # as the start of a character's name.
			text := strings.NewReplacer("#", "#35;", `"`, "#quot;").Replace(string(st.ID) + "<br/>" + st.Kind)
			return fmt.Sprintf("  %s[\"%s\"]\n", name, text)
		},
		edge: func(from, to string, n pipeline.Need) string { return fmt.Sprintf("  %s %s %s\n", from, arrow(n), to) },
	})
}

// GraphDOT writes the stages of p in the language of Graphviz, with lines as
// [GraphMermaid] has them.
func GraphDOT(w io.Writer, p *pipeline.Pipeline) error {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return drawn(w, p, drawing{
		head: "digraph " + quote(p.Name) + " {\n  rankdir=LR\n  node [shape=box]\n",
		node: func(name string, st pipeline.Stage) string {
			label := strings.TrimSuffix(quote(string(st.ID)), `"`) + `\n` + strings.TrimPrefix(quote(st.Kind), `"`)
			return fmt.Sprintf("  %s [label=%s]\n", name, label)
		},
		edge: func(from, to string, n pipeline.Need) string {
			var style []string
			if n.Data {
				style = append(style, "bold")
			}
			if n.Optional {
				style = append(style, "dashed")
			}
			if len(style) == 0 {
				return fmt.Sprintf("  %s -> %s\n", from, to)
			}
			return fmt.Sprintf("  %s -> %s [style=%s]\n", from, to, quote(strings.Join(style, ",")))
		},
		tail: "}\n",
	})
}

// A drawing is how a language for graphs writes them. Nodes have names of our
// own, for ids may be words of that language.
type drawing struct {
	head, tail string
	node       func(name string, st pipeline.Stage) string
	edge       func(from, to string, n pipeline.Need) string
}

func drawn(w io.Writer, p *pipeline.Pipeline, d drawing) error {
	stages, err := ordered(p)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(d.head)
	names := map[pipeline.ID]string{}
	for i, st := range stages {
		names[st.ID] = fmt.Sprintf("s%d", i+1)
		b.WriteString(d.node(names[st.ID], st))
	}
	for _, st := range stages {
		for _, n := range st.Needs {
			b.WriteString(d.edge(names[n.Stage], names[st.ID], n))
		}
	}
	b.WriteString(d.tail)
	_, err = io.WriteString(w, b.String())
	return err
}

// ordered returns the stages of p so that each comes after all it needs, and the
// needs of each in that order, too, once each.
func ordered(p *pipeline.Pipeline) ([]pipeline.Stage, error) {
	order, err := pipeline.Order(p.Stages)
	if err != nil {
		return nil, err
	}
	at := map[pipeline.ID]int{}
	var stages []pipeline.Stage
	for i, j := range order {
		st := p.Stages[j]
		at[st.ID] = i
		st.Needs = slices.SortedStableFunc(slices.Values(st.Needs), func(a, b pipeline.Need) int { return at[a.Stage] - at[b.Stage] })
		st.Needs = slices.CompactFunc(st.Needs, func(a, b pipeline.Need) bool { return a.Stage == b.Stage })
		stages = append(stages, st)
	}
	return stages, nil
}
