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
		said := func(line string) {
			l := ev
			l.Type, l.Text = pipeline.EventLog, strings.TrimRight(line, "\r\n")
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
			held := rest[p.Vertex]
			for part := range strings.Lines(p.Log) {
				ended := strings.HasSuffix(part, "\n")
				if ended && len(held) == 0 && len(part) <= longestLine { // nearly all are
					said(part)
					continue
				}
				if held = append(held, part[:min(len(part), max(0, longestLine-len(held)))]...); ended {
					said(string(held))
					held = nil
				}
			}
			rest[p.Vertex] = held
		}
		if p.Done > 0 || p.Total > 0 {
			d := ev
			d.Type, d.Done, d.Total = pipeline.EventProgress, p.Done, p.Total
			env.Emit(d)
		}
		if !p.Completed.IsZero() {
			if line := rest[p.Vertex]; len(line) > 0 {
				said(string(line))
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
