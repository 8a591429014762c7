package report

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// JSON returns a sink that writes each event as one line of JSON, and of a log each
// line as one.
func JSON(w io.Writer) pipeline.Sink {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	out := &Batch{W: w}
	write := func(ev pipeline.Event) {
		b.Reset()
		_ = enc.Encode(ev) // nothing in an Event fails to encode
		_, _ = out.Write(inert(b.Bytes()))
	}
	return func(ev pipeline.Event) {
		if ev.Type == pipeline.EventLog {
			for line := range strings.SplitSeq(ev.Text, "\n") {
				ev.Text = line
				write(ev)
			}
			return
		}
		write(ev)
		_ = out.Flush()
	}
}

// Tee returns a sink that gives every event to each of sinks in turn.
func Tee(sinks ...pipeline.Sink) pipeline.Sink {
	return func(ev pipeline.Event) {
		for _, s := range sinks {
			if s != nil {
				s(ev)
			}
		}
	}
}

// writeJSON writes v, indented.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(inert(b.Bytes()))
	return err
}

// inert returns JSON that means the same and has no ##[ in it, which the runner
// of GitHub Actions obeys wherever it stands.
func inert(text []byte) []byte { return bytes.ReplaceAll(text, []byte("##["), []byte(`##\u005b`)) }
