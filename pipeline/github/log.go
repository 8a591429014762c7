package github

import (
	"io"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// patience is how many bytes of a step wait while the group of another is open.
const patience = 256 << 10

// Log returns a sink that writes a group for each step. One step is on the air:
// its lines are written as they come. Those of others wait until they end, or
// have much to say. All of it is fenced: the runner obeys nothing that stands in
// a group.
func Log(w io.Writer) pipeline.Sink {
	out := &report.Batch{W: w}
	l := &log{w: out, waiting: map[pipeline.ID][]string{}, size: map[pipeline.ID]int{}, part: map[pipeline.ID]bool{}}
	return func(ev pipeline.Event) {
		if l.event(ev); ev.Type != pipeline.EventLog {
			_ = out.Flush()
		}
	}
}

type log struct {
	w       io.Writer
	running []pipeline.ID // the first is on the air
	waiting map[pipeline.ID][]string
	size    map[pipeline.ID]int
	part    map[pipeline.ID]bool // of the step, a group has been written
	open    bool                 // the group of the step on the air is
	fence   string
}

func (l *log) event(ev pipeline.Event) {
	text := report.Line(ev)
	if ev.Step == "" {
		if text != "" {
			l.close()
			l.write(text)
		}
		return
	}
	switch ev.Type {
	case pipeline.EventStart:
		l.running = append(l.running, ev.Step)
		return
	case pipeline.EventFinish:
		l.finish(ev, text)
		return
	case pipeline.EventVerdict: // notes have told, and the end will
		return
	}
	if text == "" {
		return
	}
	if len(l.running) > 0 && l.running[0] == ev.Step {
		l.begin(ev.Step)
		l.write(text)
		return
	}
	l.waiting[ev.Step] = append(l.waiting[ev.Step], text)
	if l.size[ev.Step] += len(text); l.size[ev.Step] > patience {
		l.close()
		l.flush(ev.Step)
		l.close()
	}
}

// finish writes what waits of a step, and how it ended outside of its group.
func (l *log) finish(ev pipeline.Event, text string) {
	i := slices.Index(l.running, ev.Step)
	if i != 0 || len(l.waiting[ev.Step]) > 0 {
		l.close()
	}
	l.flush(ev.Step)
	l.close()
	l.write(text)
	if i >= 0 {
		l.running = slices.Delete(l.running, i, i+1)
	}
	delete(l.part, ev.Step)
	if i == 0 && len(l.running) > 0 {
		l.flush(l.running[0])
	}
}

// flush writes what waits of a step, in a group that it leaves open.
func (l *log) flush(step pipeline.ID) {
	lines := l.waiting[step]
	delete(l.waiting, step)
	delete(l.size, step)
	if len(lines) == 0 {
		return
	}
	l.begin(step)
	l.write(lines...)
}

// begin opens a group for step, unless one is open.
func (l *log) begin(step pipeline.ID) {
	if l.open {
		return
	}
	title := string(step)
	if l.part[step] {
		title += ", continued"
	}
	l.open, l.part[step], l.fence = true, true, token()
	_, _ = io.WriteString(l.w, command("group", Defuse(report.Tame(title)))+command("stop-commands", l.fence))
}

// close ends the group that is open.
func (l *log) close() {
	if l.open {
		_, _ = io.WriteString(l.w, command(l.fence, "")+command("endgroup", ""))
		l.open = false
	}
}

// write writes lines in one go, so that the runner does not see a part of one.
func (l *log) write(lines ...string) {
	var b strings.Builder
	for _, some := range lines {
		for line := range strings.SplitSeq(some, "\n") {
			b.WriteString(Defuse(line) + "\n")
		}
	}
	_, _ = io.WriteString(l.w, b.String())
}
