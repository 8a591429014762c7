package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/pipeline"
)

// TTY returns a sink for a terminal: what has happened scrolls up, and below it
// stands a line for each step that runs, with what it is doing. Width is asked
// for at each event, for people resize their windows.
func TTY(w io.Writer, width func() int) pipeline.Sink {
	t := &terminal{w: w, width: width}
	return t.event
}

// live is a step that runs.
type live struct {
	id    pipeline.ID
	since time.Time
	doing string
}

type terminal struct {
	w     io.Writer
	width func() int
	steps []live
	drawn int // lines of the live part on the screen
}

// maxLive is how many lines the live part has at most.
const maxLive = 10

func (t *terminal) event(ev pipeline.Event) {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", t.drawn) // up, and clear to the end of the screen
	}
	i := slices.IndexFunc(t.steps, func(l live) bool { return l.id == ev.Step })
	show := true
	switch ev.Type {
	case pipeline.EventStart:
		if show = false; ev.Step != "" {
			t.steps = append(t.steps, live{id: ev.Step, since: ev.Time})
		}
	case pipeline.EventTask:
		if show = ev.Status == pipeline.StatusFailed; i >= 0 && ev.Status == "" {
			t.steps[i].doing = ev.Task
		}
	case pipeline.EventProgress:
		if show = false; i >= 0 {
			t.steps[i].doing = ev.Task + " " + amount(ev.Done, ev.Total)
		}
	case pipeline.EventNote:
		if i >= 0 {
			t.steps[i].doing = strings.TrimSpace(ev.Task + " " + ev.Text)
			show = false
		}
	case pipeline.EventOutput:
		show = false
	case pipeline.EventFinish:
		if i >= 0 {
			t.steps = slices.Delete(t.steps, i, i+1)
		}
	}
	if text := Line(ev); show && text != "" {
		b.WriteString(colour(ev, t.fit(text)) + "\n")
	}
	t.drawn = 0
	for _, l := range t.steps[:min(len(t.steps), maxLive)] {
		b.WriteString(t.fit(fmt.Sprintf("  ◦ %s %s  %s", l.id, round(ev.Time.Sub(l.since)), Tame(l.doing))) + "\n")
		t.drawn++
	}
	if more := len(t.steps) - maxLive; more > 0 {
		fmt.Fprintf(&b, "  ◦ and %d more\n", more)
		t.drawn++
	}
	_, _ = io.WriteString(t.w, b.String())
}

// fit cuts s to the width of the terminal, so that one line stays one line.
func (t *terminal) fit(s string) string {
	s = strings.ReplaceAll(s, "\t", "    ")
	width := t.width()
	if width <= 0 || utf8.RuneCountInString(s) < width {
		return s
	}
	return string([]rune(s)[:max(0, width-2)]) + "…"
}

func colour(ev pipeline.Event, s string) string {
	code := ""
	switch {
	case ev.Status == pipeline.StatusFailed:
		code = "31"
	case ev.Type == pipeline.EventWarning:
		code = "33"
	case ev.Type == pipeline.EventVerdict:
		code = "32"
	case ev.Type == pipeline.EventLog:
		code = "2"
	default:
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func amount(done, total int64) string {
	if total > 0 {
		return size(done) + " of " + size(total)
	}
	return size(done)
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
