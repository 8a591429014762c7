package page

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// Version is the version of the format of a [Report].
const Version = 1

// A Report is what a run was going to do, did, and what became of it. Text in it
// has neither secrets nor control sequences.
type Report struct {
	Version     int             `json:"version"` // of this format
	ID          string          `json:"id,omitempty"`
	Pipeline    string          `json:"pipeline"`
	Environment string          `json:"environment,omitempty"`
	Commit      string          `json:"commit,omitempty"`
	Dirty       bool            `json:"dirty,omitempty"`
	Started     time.Time       `json:"started,omitzero"`
	Finished    time.Time       `json:"finished,omitzero"`
	Status      pipeline.Status `json:"status,omitempty"` // empty: a plan, or a run that has not ended
	Causes      []Cause         `json:"causes,omitempty"` // what failed first, first
	Steps       []Step          `json:"steps"`            // in the order of the plan
	Unchecked   []Cause         `json:"unchecked,omitempty"`
	Warnings    []Cause         `json:"warnings,omitempty"`
	Outputs     map[string]any  `json:"outputs,omitempty"`
}

// A Cause is why something failed, or could not be checked.
type Cause struct {
	Stage pipeline.ID `json:"stage,omitempty"`
	Code  string      `json:"code,omitempty"`
	Text  string      `json:"text"`
	Cure  string      `json:"cure,omitempty"` // what mends it
	File  string      `json:"file,omitempty"`
	Line  int         `json:"line,omitempty"`
	Log   []string    `json:"log,omitempty"` // the last words of what failed
}

// A Step is one step: planned, and run.
type Step struct {
	ID       pipeline.ID        `json:"id"`
	Kind     string             `json:"kind"`
	After    []pipeline.ID      `json:"after,omitempty"`
	Status   pipeline.Status    `json:"status,omitempty"` // empty: it has not ended
	Why      string             `json:"why,omitempty"`    // it was skipped, reused or failed
	Started  time.Time          `json:"started,omitzero"`
	Elapsed  time.Duration      `json:"elapsed,omitempty"` // nanoseconds
	Attempts int                `json:"attempts,omitempty"`
	Effects  []pipeline.Effect  `json:"effects,omitempty"` // what it was going to change, at most
	Notes    []string           `json:"notes,omitempty"`
	Key      string             `json:"key,omitempty"` // the input key of a build
	Image    *pipeline.ImageRef `json:"image,omitempty"`
	// What the image consists of, on each of its platforms; empty: that is not known here.
	Platforms []Platform `json:"platforms,omitempty"`
	Tasks     []Task     `json:"tasks,omitempty"` // vertexes of a build, blobs of a push
	Verdicts  []Verdict  `json:"verdicts,omitempty"`
	Log       string     `json:"log,omitempty"` // name of its log, beside the report
	Lines     int        `json:"lines,omitempty"`
}

// A Platform is an image as it is on one platform.
type Platform struct {
	Platform string  `json:"platform,omitempty"` // such as linux/arm64
	Digest   string  `json:"digest"`             // of the manifest
	Size     int64   `json:"size"`               // bytes that a node pulls
	Layers   []Layer `json:"layers,omitempty"`   // the lowest first
}

// A Layer is a layer of an image, as a registry holds it.
type Layer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`         // bytes, compressed
	By     string `json:"by,omitempty"` // the instruction that made it
}

// A Task is a part of a step.
type Task struct {
	Name    string          `json:"name"`
	Status  pipeline.Status `json:"status,omitempty"`
	Text    string          `json:"text,omitempty"`
	Started time.Time       `json:"started,omitzero"`
	Elapsed time.Duration   `json:"elapsed,omitempty"` // nanoseconds
}

// A Verdict is what became of one workload.
type Verdict struct {
	Object string `json:"object"`
	Code   string `json:"code"`
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
	Cure   string `json:"cure,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

// Planned returns the report of a plan that is not run.
func Planned(plan *pipeline.Plan) *Report {
	r := &Report{Version: Version, Pipeline: plan.Pipeline, Environment: plan.Environment}
	for _, s := range plan.Steps {
		step := Step{ID: s.ID, Kind: s.Kind, After: s.After}
		switch {
		case s.Skip != "":
			step.Status, step.Why = pipeline.StatusSkipped, report.Tame(s.Skip)
		case s.Idle:
			step.Why = "not needed"
		default:
			step.Effects = tame(s.Effects)
		}
		for _, n := range s.Notes {
			step.Notes = append(step.Notes, report.Tame(n))
		}
		if v, ok := s.Outputs["key"]; ok {
			step.Key = v.String()
		}
		if v, ok := s.Outputs["image"]; ok {
			if img, err := v.Image(pipeline.Scope{}); err == nil {
				step.Image = &img
			}
		}
		r.Steps = append(r.Steps, step)
	}
	r.Unchecked = causes(plan.Unchecked(), nil)
	for _, name := range pipeline.Keys(plan.Outputs) {
		if r.Outputs == nil {
			r.Outputs = map[string]any{}
		}
		r.Outputs[name] = plan.Outputs[name].String()
	}
	return r
}

// Failed returns the report of a command that ended with an error before there was
// a plan.
func Failed(command string, status pipeline.Status, err error) *Report {
	return &Report{Version: Version, Pipeline: command, Status: status, Causes: causes(err, nil)}
}

func tame(effects []pipeline.Effect) []pipeline.Effect {
	var list []pipeline.Effect
	for _, e := range effects {
		var diff []string
		for l := range strings.Lines(e.Diff) {
			diff = append(diff, report.Tame(strings.TrimRight(l, "\r\n")))
		}
		list = append(list, pipeline.Effect{Verb: e.Verb, Object: report.Tame(e.Object), Detail: report.Tame(e.Detail), Diff: strings.Join(diff, "\n")})
	}
	return list
}

// Step returns the step called id, or nil.
func (r *Report) Step(id pipeline.ID) *Step {
	i := slices.IndexFunc(r.Steps, func(s Step) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Steps[i]
}

// Event takes what happens. It is a [pipeline.Sink] behind report.Mask.
func (r *Report) Event(ev pipeline.Event) {
	if ev.Type == pipeline.EventWarning {
		r.Warnings = append(r.Warnings, Cause{Stage: ev.Step, Text: ev.Text, File: report.Tame(ev.File), Line: ev.Line})
	}
	s := r.Step(ev.Step)
	if s == nil {
		return
	}
	switch ev.Type {
	case pipeline.EventStart:
		s.Started = ev.Time
	case pipeline.EventTask:
		s.task(ev)
	case pipeline.EventLog:
		s.Lines += 1 + strings.Count(ev.Text, "\n")
	case pipeline.EventRetry:
		s.Attempts = int(ev.Done) + 1
	case pipeline.EventVerdict:
		s.Verdicts = append(s.Verdicts, Verdict{Object: ev.Task, Code: ev.Code, OK: ev.Status != pipeline.StatusFailed, Text: ev.Text, Cure: ev.Cure, File: ev.File, Line: ev.Line})
	case pipeline.EventFinish:
		s.Status, s.Why, s.Elapsed = ev.Status, ev.Text, ev.Elapsed
	}
}

// task takes the beginning or the end of a task. A vertex may be told several
// times: the last counts.
func (s *Step) task(ev pipeline.Event) {
	i := slices.IndexFunc(s.Tasks, func(t Task) bool { return t.Name == ev.Task })
	if i < 0 {
		i = len(s.Tasks)
		s.Tasks = append(s.Tasks, Task{Name: ev.Task, Started: ev.Time.Add(-ev.Elapsed)})
	}
	if ev.Status != "" {
		t := &s.Tasks[i]
		t.Status, t.Text, t.Elapsed = ev.Status, ev.Text, ev.Elapsed
	}
}

// Finish takes the release of the run, and the error that it ended with.
func (r *Report) Finish(rel *pipeline.Release, err error) {
	r.Finished, r.Status, r.Outputs = rel.Finished, rel.Status, rel.Outputs
	for _, done := range rel.Steps {
		s := r.Step(done.ID)
		if s == nil {
			continue
		}
		s.Status = done.Status
		if img, ok := done.Outputs["image"].(pipeline.ImageRef); ok {
			s.Image = &img
		}
	}
	r.Causes = causes(err, r)
}

// causes returns what err says, that of the step which failed first at the front.
func causes(err error, r *Report) []Cause {
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
		list = pipeline.ErrorList{{Err: err}}
	}
	if r != nil {
		slices.SortStableFunc(list, r.compare)
	}
	var found []Cause
	for _, e := range list {
		c := Cause{Stage: e.Stage, Code: e.Code, File: report.Tame(e.Pos.File), Line: e.Pos.Line}
		if c.Code == "failed" || c.Code == "cannot-plan" || c.Code == "unchecked" { // what has no code of its own
			c.Code = ""
		}
		var text []string
		for l := range strings.Lines(e.Err.Error()) {
			l = report.Tame(strings.TrimRight(l, "\r\n"))
			if last, ok := strings.CutPrefix(l, "| "); ok {
				c.Log = append(c.Log, last)
			} else {
				text = append(text, l)
			}
		}
		c.Text, c.Cure = cure(strings.Join(text, "\n"))
		found = append(found, c)
	}
	return found
}

// FirstLast sorts the errors in err, which a run ended with, for a terminal: what
// failed first comes last, where the eye is.
func (r *Report) FirstLast(err error) {
	var list pipeline.ErrorList
	if errors.As(err, &list) {
		slices.SortStableFunc(list, func(a, b *pipeline.Error) int { return r.compare(b, a) })
	}
}

// compare says which of two errors was the first.
func (r *Report) compare(a, b *pipeline.Error) int {
	return cmp.Or(r.ended(a.Stage).Compare(r.ended(b.Stage)), cmp.Compare(r.verdict(a), r.verdict(b)))
}

// ended returns when a step ended.
func (r *Report) ended(id pipeline.ID) time.Time {
	if s := r.Step(id); s != nil {
		return s.Started.Add(s.Elapsed)
	}
	return time.Time{}
}

// verdict returns where e stands among the verdicts of its step, which begin with
// the first cause.
func (r *Report) verdict(e *pipeline.Error) int {
	s := r.Step(e.Stage)
	if s == nil {
		return 0
	}
	i := slices.IndexFunc(s.Verdicts, func(v Verdict) bool { return v.Code == e.Code && v.File == e.Pos.File && v.Line == e.Pos.Line })
	if i < 0 {
		return len(s.Verdicts)
	}
	return i
}

// cure splits an error into what happened and what mends it: our errors end with
// that, in brackets.
func cure(text string) (what, cure string) {
	if !strings.HasSuffix(text, ")") {
		return text, ""
	}
	depth := 0
	for i := len(text) - 1; i > 0; i-- {
		switch text[i] {
		case ')':
			depth++
		case '(':
			if depth--; depth == 0 {
				if text[i-1] != ' ' || i+1 == len(text)-1 {
					return text, ""
				}
				return strings.TrimSpace(text[:i]), text[i+1 : len(text)-1]
			}
		}
	}
	return text, ""
}
