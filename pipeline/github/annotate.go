package github

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

const (
	// most is how many annotations of a level GitHub shows for a step of a job.
	most = 10
	// longest is how many bytes of a message are shown: GitHub drops annotations above 64 KiB.
	longest = 8 << 10
)

// Annotations collects what should stand beside lines of the user's files.
type Annotations struct {
	Workspace string // absolute folder of the checkout; names of files are relative to it
	Dir       string // absolute folder that the user's relative names start from

	warnings []string
	failed   []pipeline.ID // in the order in which they failed
	seen     map[string]bool
}

// Sink takes warnings, and the order in which steps failed.
func (a *Annotations) Sink(ev pipeline.Event) {
	switch {
	case ev.Type == pipeline.EventWarning:
		title := ""
		if ev.Step != "" {
			title = "stage " + string(ev.Step)
		}
		c := a.annotation("warning", ev.File, ev.Line, 0, title, ev.Text)
		if a.seen == nil {
			a.seen = map[string]bool{}
		}
		if !a.seen[c] { // a build that is tried again warns again
			a.seen[c] = true
			a.warnings = append(a.warnings, c)
		}
	case ev.Type == pipeline.EventFinish && ev.Status == pipeline.StatusFailed && ev.Step != "":
		a.failed = append(a.failed, ev.Step)
	}
}

// Write writes err and the warnings, the worst first: what failed first, before
// what failed after it, before warnings. Of each level as many are written as
// GitHub shows, and the last of them says how many more there are.
func (a *Annotations) Write(w io.Writer, err error) {
	var lines []string
	for _, e := range a.ranked(err) {
		title := ""
		if e.Stage != "" {
			title = "stage " + string(e.Stage)
		}
		if e.Code != "" && e.Code != "failed" && e.Code != "cannot-plan" {
			title = strings.TrimPrefix(title+": "+e.Code, ": ")
		}
		lines = append(lines, a.annotation("error", e.Pos.File, e.Pos.Line, e.Pos.Col, title, e.Err.Error()))
	}
	for _, l := range append(bounded("error", lines), bounded("warning", a.warnings)...) {
		_, _ = io.WriteString(w, l)
	}
}

// ranked returns the errors in err, those of the step that failed first at the front.
func (a *Annotations) ranked(err error) pipeline.ErrorList {
	var list pipeline.ErrorList
	var one *pipeline.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &list):
		list = slices.Clone(list)
	case errors.As(err, &one):
		list = pipeline.ErrorList{one}
	default:
		return pipeline.ErrorList{{Err: err}}
	}
	rank := func(e *pipeline.Error) int {
		if i := slices.Index(a.failed, e.Stage); i >= 0 {
			return i
		}
		return len(a.failed)
	}
	slices.SortStableFunc(list, func(x, y *pipeline.Error) int { return cmp.Compare(rank(x), rank(y)) })
	return list
}

// bounded returns at most as many lines as are shown.
func bounded(level string, lines []string) []string {
	if len(lines) <= most {
		return lines
	}
	return append(slices.Clone(lines[:most-1]), command(level, fmt.Sprintf("%s more: they are in the log of this step and in its report", report.Count(len(lines)-most+1, level))))
}

func (a *Annotations) annotation(level, file string, line, col int, title, text string) string {
	var lines []string
	for l := range strings.Lines(text) {
		lines = append(lines, Defuse(report.Tame(strings.TrimRight(l, "\r\n"))))
	}
	if text = strings.Join(lines, "\n"); len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	number := func(n int) string {
		if n == 0 || file == "" {
			return ""
		}
		return fmt.Sprint(n)
	}
	return command(level, text, "file", Defuse(report.Tame(a.path(file))), "line", number(line), "col", number(col), "title", Defuse(report.Tame(title)))
}

// path returns file as GitHub names it: relative to the checkout.
func (a *Annotations) path(file string) string {
	if file == "" || a.Workspace == "" {
		return file
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(a.Dir, file)
	}
	rel, err := filepath.Rel(a.Workspace, file)
	if err != nil || !filepath.IsLocal(rel) {
		return filepath.ToSlash(file)
	}
	return filepath.ToSlash(rel)
}
