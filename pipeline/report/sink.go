package report

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// JSON returns a sink that writes each event as one line of JSON.
func JSON(w io.Writer) pipeline.Sink {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return func(ev pipeline.Event) { _ = enc.Encode(ev) } // a log that cannot be written must not end the run
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

// Mask returns a sink that hides secrets before next sees them.
func Mask(next pipeline.Sink, secrets ...string) pipeline.Sink {
	r := masker(secrets)
	if r == nil {
		return next
	}
	return func(ev pipeline.Event) {
		ev.Text, ev.Task, ev.Cure = r.Replace(ev.Text), r.Replace(ev.Task), r.Replace(ev.Cure)
		next(ev)
	}
}

// MaskWriter returns a writer that hides secrets in each write.
func MaskWriter(w io.Writer, secrets ...string) io.Writer {
	r := masker(secrets)
	if r == nil {
		return w
	}
	return writer(func(b []byte) (int, error) {
		if _, err := r.WriteString(w, string(b)); err != nil {
			return 0, err
		}
		return len(b), nil
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// masker replaces secrets, and the lines of those that have several. It is nil
// when there is nothing to hide.
func masker(secrets []string) *strings.Replacer {
	var words []string
	for _, s := range secrets {
		words = append(words, s, strings.TrimSpace(s))
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) > 3 {
				words = append(words, line)
			}
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, w := range words {
		if w != "" {
			pairs = append(pairs, w, "***")
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return strings.NewReplacer(pairs...)
}
