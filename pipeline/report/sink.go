package report

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
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

// Mask returns a sink that hides secrets before next sees them. What is not
// trusted loses its control sequences first: they could stand inside a secret
// and be taken out later.
func Mask(next pipeline.Sink, secrets ...string) pipeline.Sink {
	r := masker(secrets)
	if r == nil {
		return next
	}
	return func(ev pipeline.Event) {
		ev.Text, ev.Task, ev.Cure = r.Replace(Tame(ev.Text)), r.Replace(Tame(ev.Task)), r.Replace(Tame(ev.Cure))
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

// Shortest is how many characters a secret has at least: hiding a shorter one
// would hide half of every text, and tell what it is.
const Shortest = 4

// masker replaces secrets as they are, in base64, and as JSON and URLs have
// them; of those with several lines, each line too. It is nil when there is
// nothing to hide.
func masker(secrets []string) *strings.Replacer {
	var words []string
	add := func(s string) {
		quoted, err := json.Marshal(s)
		if err == nil {
			words = append(words, strings.Trim(string(quoted), `"`))
		}
		words = append(words, s, url.QueryEscape(s), url.PathEscape(s), base64.URLEncoding.EncodeToString([]byte(s)))
		for shift := range min(3, len(s)) { // as base64 has it inside a longer text
			whole := s[shift : shift+(len(s)-shift)/3*3] // the rest depends on what follows
			words = append(words, base64.StdEncoding.EncodeToString([]byte(whole)))
		}
	}
	for _, s := range secrets {
		add(s)
		add(strings.TrimSpace(s))
		for line := range strings.Lines(s) {
			add(strings.TrimSpace(line))
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, w := range slices.Compact(words) {
		if len(w) >= Shortest {
			pairs = append(pairs, w, "***")
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return strings.NewReplacer(pairs...)
}
