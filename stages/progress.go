package stages

import (
	"cmp"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// progress returns a function that makes events of what a builder or registry
// does. The calls come one at a time.
func progress(env *pipeline.Env) func(buildkit.Progress) {
	names := map[string]string{}
	started := map[string]time.Time{}
	return func(p buildkit.Progress) {
		if p.Name != "" {
			names[p.Vertex] = p.Name
		}
		ev := pipeline.Event{Task: cmp.Or(names[p.Vertex], p.Vertex)}
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
			for line := range strings.Lines(p.Log) {
				l := ev
				l.Type, l.Text = pipeline.EventLog, strings.TrimRight(line, "\r\n")
				env.Emit(l)
			}
		}
		if p.Done > 0 || p.Total > 0 {
			d := ev
			d.Type, d.Done, d.Total = pipeline.EventProgress, p.Done, p.Total
			env.Emit(d)
		}
		if !p.Completed.IsZero() {
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
