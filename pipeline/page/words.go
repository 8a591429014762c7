package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// Headline says in a few words what became of the run.
func (r *Report) Headline() string {
	where := r.Pipeline
	if r.Environment != "" {
		where += " in " + r.Environment
	}
	proven := 0
	for _, s := range r.Steps {
		for _, v := range s.Verdicts {
			if v.Code == "proven" {
				proven++
			}
		}
	}
	switch {
	case r.Status == pipeline.StatusFailed && len(r.Causes) > 0 && r.Causes[0].Stage != "":
		return fmt.Sprintf("%s failed at %s", where, r.Causes[0].Stage)
	case r.Status == pipeline.StatusFailed:
		return where + " failed"
	case r.Status == pipeline.StatusCanceled:
		return where + " was interrupted"
	case r.Status == "" && r.ID != "":
		return where + " has not ended"
	case r.Status == "":
		return fmt.Sprintf("%s: %s planned", where, report.Count(r.changes(), "change"))
	case proven > 0:
		return fmt.Sprintf("%s: %s proven", where, report.Count(proven, "workload"))
	case !r.Changed():
		return where + ": nothing had to change"
	}
	return where + " is done"
}

// changes returns how many changes were planned.
func (r *Report) changes() int {
	n := 0
	for _, s := range r.Steps {
		n += len(s.Effects)
	}
	return n
}

// Changed reports whether the run changed something.
func (r *Report) Changed() bool {
	for _, s := range r.Steps {
		if s.Status == pipeline.StatusOK && len(s.Effects) > 0 {
			return true
		}
	}
	return false
}

// Images returns the steps that have an image.
func (r *Report) Images() []Step {
	var list []Step
	for _, s := range r.Steps {
		if s.Image != nil && s.Image.Digest != "" {
			list = append(list, s)
		}
	}
	return list
}

// Action says how a step came to its image: built, pushed, copied, reused.
func (s Step) Action() string {
	switch {
	case s.Status == pipeline.StatusReused || s.Status == "" && len(s.Effects) == 0:
		return "reused"
	case s.Kind == "copy":
		return "copied"
	case s.Image != nil && s.Image.Repository != "":
		return "pushed"
	}
	return "built"
}

// Sizes says how large the image is, on each of its platforms; empty: that is not
// known.
func (s Step) Sizes() string {
	var all []string
	for _, p := range s.Platforms {
		all = append(all, strings.TrimSpace(p.Platform+" "+report.Size(p.Size)))
	}
	return strings.Join(all, ", ")
}

// State says in a word what became of a step.
func (s Step) State() string {
	switch {
	case s.Status != "":
		return string(s.Status)
	case !s.Started.IsZero():
		return "running"
	case s.Why != "":
		return s.Why
	case len(s.Effects) == 0:
		return "nothing to change"
	}
	return report.Count(len(s.Effects), "change")
}

// short returns the first digits of a digest.
func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(12, len(hex))]
}

// oneLine returns text in one line of at most so many characters.
func oneLine(text string, most int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}

// duration returns d for people.
func duration(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(1, d.Milliseconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
