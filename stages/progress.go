package stages

import (
	"cmp"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// longestLine is how much of one line of a log is kept: a program may never end
// its line.
const longestLine = 16 << 20

// progress returns a function that makes events of what a builder or registry
// does. The calls come one at a time. A line of a log may come in several parts,
// and is told when it has ended: a secret in it must not be cut in two.
func progress(env *pipeline.Env) func(buildkit.Progress) {
	names := map[string]string{}
	started := map[string]time.Time{}
	rest := map[string][]byte{} // what vertexes have written of a line that has not ended
	return func(p buildkit.Progress) {
		if p.Name != "" {
			names[p.Vertex] = p.Name
		}
		ev := pipeline.Event{Task: cmp.Or(names[p.Vertex], p.Vertex)}
		said := func(lines string) {
			l := ev
			l.Type, l.Text = pipeline.EventLog, lines
			env.Emit(l)
		}
		if !p.Started.IsZero() && started[p.Vertex].IsZero() {
			started[p.Vertex] = p.Started
			if p.Completed.IsZero() {
				ev.Type = pipeline.EventTask
				env.Emit(ev)
			}
		}
		if p.Warning != nil {
			w := ev
			w.Type, w.Text, w.File, w.Line = pipeline.EventWarning, p.Warning.Text, p.Warning.File, p.Warning.Line
			env.Emit(w)
		}
		if p.Log != "" {
			rest[p.Vertex] = ended(rest[p.Vertex], p.Log, said)
		}
		if p.Done > 0 || p.Total > 0 {
			d := ev
			d.Type, d.Done, d.Total = pipeline.EventProgress, p.Done, p.Total
			env.Emit(d)
		}
		if !p.Completed.IsZero() {
			if line := rest[p.Vertex]; len(line) > 0 {
				said(strings.TrimRight(string(line), "\r"))
				delete(rest, p.Vertex)
			}
			ev.Type, ev.Status, ev.Elapsed = pipeline.EventTask, pipeline.StatusOK, p.Completed.Sub(started[p.Vertex])
			switch {
			case p.Error != "":
				ev.Status, ev.Text = pipeline.StatusFailed, p.Error
			case p.Cached:
				ev.Status = pipeline.StatusReused
			}
			env.Emit(ev)
		}
	}
}

// ended tells the lines that have ended with text, of which held is the beginning, and
// returns what is held of the one that has not. Most texts are whole lines.
func ended(held []byte, text string, said func(lines string)) []byte {
	hold := func(part string) { held = append(held, part[:min(len(part), longestLine-len(held))]...) }
	if first, more, ok := strings.Cut(text, "\n"); len(held) > 0 && ok {
		hold(first)
		said(strings.TrimRight(string(held), "\r"))
		held, text = nil, more
	}
	if end := strings.LastIndexByte(text, '\n'); end >= 0 {
		said(strings.ReplaceAll(text[:end], "\r\n", "\n"))
		held, text = nil, text[end+1:]
	}
	hold(text)
	return held
}
