package report

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Shortest is how many bytes a secret has at least: hiding a shorter one would
// hide half of every text, and tell what it is.
const Shortest = 4

// hidden stands where a secret was.
const hidden = "***"

// Mask returns a sink that hides secrets before next sees them, and tames what
// is not trusted first: control sequences could stand inside a secret and be
// taken out later. Lines of a log stay lines.
func Mask(next pipeline.Sink, secrets ...string) pipeline.Sink {
	m := newMasker(secrets)
	clean := func(s string) string { return m.mask(Tame(s)) }
	var task, shown string // of the event before: the lines of a log have it in common
	return func(ev pipeline.Event) {
		if ev.Task != task {
			task, shown = ev.Task, clean(ev.Task)
		}
		if ev.Task, ev.Cure = shown, clean(ev.Cure); ev.Type == pipeline.EventLog {
			ev.Text = m.mask(tameLines(ev.Text))
		} else {
			ev.Text = clean(ev.Text)
		}
		next(ev)
	}
}

// MaskWriter returns a writer that hides secrets, also when they come in several
// writes: what may be the beginning of one is held back until it is known, or
// its line ends.
func MaskWriter(w io.Writer, secrets ...string) io.Writer {
	m := newMasker(secrets)
	if m.longest == 0 {
		return w
	}
	return &maskWriter{w: w, masker: m}
}

type maskWriter struct {
	w      io.Writer
	masker *masker
	held   []byte
}

func (m *maskWriter) Write(b []byte) (int, error) {
	text := string(append(m.held, b...))
	spans := m.masker.find(text)
	cut := len(text) - m.masker.begun(text)
	for _, s := range slices.Backward(spans) { // one that the cut would split waits, too
		if s.from < cut && cut < s.to {
			cut = s.from
		}
	}
	m.held = []byte(text[cut:])
	if _, err := io.WriteString(m.w, m.masker.mask(text[:cut])); err != nil {
		return 0, err
	}
	return len(b), nil
}

// newMasker returns a masker for secrets; of those with several lines, each line
// is one, too. No word has a line end or begins or ends with a space.
func newMasker(secrets []string) *masker {
	m := &masker{words: map[head][]string{}, begins: map[string]bool{}}
	for _, s := range secrets {
		for _, form := range []string{s, strings.TrimSpace(s)} {
			m.addForms(form)
		}
		for line := range strings.Lines(s) {
			m.addForms(strings.TrimSpace(line))
		}
	}
	return m
}

func (m *masker) addForms(secret string) {
	if len(secret) < Shortest {
		return
	}
	for _, form := range forms(secret) {
		for _, w := range []string{form, Tame(form)} {
			if w = strings.TrimSpace(w); len(w) >= Shortest && !strings.ContainsAny(w, "\r\n") {
				m.add(w)
			}
		}
	}
}

// forms returns a secret as others write it: the eleven encodings that the
// runner of GitHub Actions knows (its ValueEncoders.cs), those of Go's own
// encoders, and hexadecimal.
func forms(s string) []string {
	quoted := func(escapeHTML bool) string {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		_ = enc.Encode(s) // text always encodes
		return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`)
	}
	list := []string{
		s, quoted(true), quoted(false),
		strings.ReplaceAll(s, `"`, `\"`),
		strings.ReplaceAll(s, "'", "''"), strings.ReplaceAll(s, "'", `'\''`),
		url.QueryEscape(s), url.PathEscape(s), strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(s), html.EscapeString(s),
		hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))),
	}
	for shift := range min(3, len(s)) { // as base64 has it inside a longer text
		end := base64.RawStdEncoding.EncodeToString([]byte(s[shift:]))
		inner := end[:len(s[shift:])/3*4] // the rest depends on what follows
		list = append(list, end, inner)
	}
	for _, b := range list[len(list)-2*min(3, len(s)):] {
		list = append(list, strings.NewReplacer("+", "-", "/", "_").Replace(b))
	}
	if len(s) > 8 && s[0] == '"' && s[len(s)-1] == '"' {
		list = append(list, s[1:len(s)-1])
	}
	return append(list, ampersands(s)...)
}

// ampersands returns the parts in which PowerShell shows a secret with & in it,
// with colours between them.
func ampersands(s string) []string {
	first, second := strings.LastIndexByte(s, '&')+1, strings.LastIndexByte(s, '&')+1
	if i := strings.Index(s, "&+"); i >= 0 {
		first = i + 2
		second = min(first+1, len(s))
	}
	var parts []string
	for _, part := range []string{s[:first], s[second:]} {
		if first > 0 && len(part) >= 6 {
			parts = append(parts, part)
		}
	}
	return parts
}
