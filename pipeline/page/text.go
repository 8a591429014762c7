package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// JSON writes r as docs/reports.md describes it.
func JSON(w io.Writer, r *Report) error {
	text, err := r.encoded()
	if err == nil && !isTame(text) {
		if r, err = r.tame(); err == nil {
			text, err = r.encoded()
		}
	}
	var b bytes.Buffer
	if err == nil {
		err = json.Indent(&b, text, "", "  ")
	}
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	return err
}

// encoded returns r as JSON on one line.
func (r *Report) encoded() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(r)
	return b.Bytes(), err
}

// isTame reports whether no text in JSON on one line is changed when it is tamed. What
// controls a terminal is escaped there, and all else stands as it is.
func isTame(text []byte) bool {
	line := strings.TrimSuffix(string(text), "\n")
	for _, escaped := range []string{`\u`, `\r`, `\b`, `\f`} { // also where a backslash was meant
		if strings.Contains(line, escaped) {
			return false
		}
	}
	return report.Tame(line) == line
}

// tame returns r with every text in it tamed, line by line: names of cells and values of
// outputs come from the outside, too. Where none has to be changed, it is r itself.
func (r *Report) tame() (*Report, error) {
	text, err := r.encoded()
	if err != nil {
		return nil, err
	}
	if isTame(text) {
		return r, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var all any
	if err := dec.Decode(&all); err != nil {
		return nil, err
	}
	if text, err = json.Marshal(tamed(all)); err != nil {
		return nil, err
	}
	clean := new(Report)
	return clean, json.Unmarshal(text, clean)
}

func tamed(v any) any {
	switch v := v.(type) {
	case string:
		lines := strings.Split(v, "\n")
		for i, l := range lines {
			lines[i] = report.Tame(l)
		}
		return strings.Join(lines, "\n")
	case []any:
		for i := range v {
			v[i] = tamed(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = tamed(v[name])
		}
	}
	return v
}

// Read reads a report as [JSON] writes it.
func Read(text []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("no report of slipway: %w", err)
	}
	if r.Version == 0 || r.Pipeline == "" {
		return nil, fmt.Errorf("no report of slipway: it has no version or pipeline")
	}
	if r.Version > Version {
		return nil, fmt.Errorf("a report of version %d, of which this slipway reads up to %d (use a newer slipway)", r.Version, Version)
	}
	return &r, nil
}

// Text writes r for a terminal: what there is, then the causes, the first last,
// where the eye is.
func Text(w io.Writer, r *Report) error {
	r, err := r.tame()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	say := func(format string, args ...any) { b.WriteString(report.Tame(fmt.Sprintf(format, args...)) + "\n") }
	say("run %s, %s", r.ID, r.Started.Local().Format("2006-01-02 15:04:05"))
	wide := 0
	for _, s := range r.Steps {
		wide = max(wide, len(s.ID))
	}
	for _, s := range r.Steps {
		why := ""
		if s.Why != "" && s.Status != pipeline.StatusFailed {
			why = "(" + s.Why + ")"
		}
		say("  %-*s  %-8s %8s  %s", wide, s.ID, s.State(), duration(s.Elapsed), why)
	}
	for _, s := range r.Images() {
		say("%s", strings.TrimRight(fmt.Sprintf("%s  %s  %s  %s", s.ID, s.Action(), s.Image, s.Sizes()), " "))
	}
	for _, s := range r.Steps {
		for _, v := range s.Verdicts {
			if v.OK {
				say("%s", v.Text)
			}
		}
	}
	for _, name := range pipeline.Keys(r.Outputs) {
		say("output %s = %v", name, r.Outputs[name])
	}
	for i := len(r.Causes) - 1; i >= 0; i-- {
		c := r.Causes[i]
		where := ""
		if c.File != "" {
			where = c.File + ": "
			if c.Line > 0 {
				where = fmt.Sprintf("%s:%d: ", c.File, c.Line)
			}
		}
		say("%sstage %s: %s", where, c.Stage, c.Text)
		for _, l := range c.Log {
			say("  | %s", l)
		}
		if c.Cure != "" {
			say("  cure: %s", c.Cure)
		}
	}
	say("%s", r.Headline())
	_, err = w.Write(b.Bytes())
	return err
}
