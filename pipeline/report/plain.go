package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// Plain returns a sink that writes lines for a person or a log. It shows no
// progress of bytes, and leaves verdicts to the [Conclusion]: notes have told
// how each workload went there.
func Plain(w io.Writer) pipeline.Sink {
	out := &Batch{W: w}
	return func(ev pipeline.Event) {
		if ev.Type == pipeline.EventLog { // come by the million
			out.Lines(name(ev)+" | ", tameLines(ev.Text))
			return
		}
		if line := Line(ev); line != "" && ev.Type != pipeline.EventVerdict {
			out.Lines("", line)
			_ = out.Flush()
		}
	}
}

// Quiet returns a sink that writes warnings and what failed.
func Quiet(w io.Writer) pipeline.Sink {
	plain := Plain(w)
	return func(ev pipeline.Event) {
		if ev.Type == pipeline.EventWarning || ev.Status == pipeline.StatusFailed {
			plain(ev)
		}
	}
}

// Line returns what ev says in one line, or "". Of a log it returns as many lines as
// ev has.
func Line(ev pipeline.Event) string {
	at := name(ev)
	if ev.Type == pipeline.EventLog {
		prefix := at + " | "
		return prefix + strings.ReplaceAll(tameLines(ev.Text), "\n", "\n"+prefix)
	}
	task := Tame(ev.Task)
	text := Tame(ev.Text)
	switch ev.Type {
	case pipeline.EventStart:
		if ev.Step != "" {
			return at + ": begins"
		}
	case pipeline.EventTask:
		switch ev.Status {
		case "":
			return fmt.Sprintf("%s: %s", at, task)
		case pipeline.StatusReused:
			return fmt.Sprintf("%s: %s  cached", at, task)
		case pipeline.StatusFailed:
			return fmt.Sprintf("%s: %s  failed: %s", at, task, text)
		}
		if ev.Elapsed >= time.Second {
			return fmt.Sprintf("%s: %s  done in %s", at, task, round(ev.Elapsed))
		}
	case pipeline.EventNote:
		if task != "" {
			return fmt.Sprintf("%s: %s  %s", at, task, text)
		}
		return fmt.Sprintf("%s: %s", at, text)
	case pipeline.EventWarning:
		return fmt.Sprintf("%s: warning: %s%s", at, where(ev), text)
	case pipeline.EventTest:
		return fmt.Sprintf("%s: test %s %s: %s%s", at, task, ev.Status, where(ev), text)
	case pipeline.EventOutput:
		return fmt.Sprintf("%s → %s = %s", at, task, text)
	case pipeline.EventVerdict:
		return fmt.Sprintf("%s: %s", at, text)
	case pipeline.EventRetry:
		return fmt.Sprintf("%s: attempt %d of %d failed, once more: %s", at, ev.Done, ev.Total+1, text)
	case pipeline.EventFinish:
		s := fmt.Sprintf("%s: %s", at, ev.Status)
		if ev.Elapsed >= 100*time.Millisecond {
			s += " in " + round(ev.Elapsed)
		}
		if text != "" && ev.Status != pipeline.StatusFailed { // what failed is said at the end
			s += " (" + text + ")"
		}
		return s
	}
	return ""
}

func where(ev pipeline.Event) string {
	switch {
	case ev.File == "":
		return ""
	case ev.Line == 0:
		return Tame(ev.File) + ": "
	}
	return fmt.Sprintf("%s:%d: ", Tame(ev.File), ev.Line)
}

func round(d time.Duration) string {
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
