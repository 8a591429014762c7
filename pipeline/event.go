package pipeline

import (
	"fmt"
	"time"
)

// An Event is one thing that happened during a run. Events are flat, so that a
// stream of them is a log which people and programs can both read.
type Event struct {
	Time    time.Time     `json:"time"`
	Type    EventType     `json:"type"`
	Step    ID            `json:"step,omitempty"`   // empty for the run itself
	Task    string        `json:"task,omitempty"`   // part of a step: a vertex, an object, an output
	Text    string        `json:"text,omitempty"`   // one line, or of a log several, without the last newline
	Done    int64         `json:"done,omitempty"`   // bytes, or attempts
	Total   int64         `json:"total,omitempty"`  // zero while unknown; of the start of a run, its steps
	Status  Status        `json:"status,omitempty"` // how it ended
	Elapsed time.Duration `json:"elapsed,omitempty"`
	Code    string        `json:"code,omitempty"` // of a verdict or an error
	File    string        `json:"file,omitempty"` // what Text is about
	Line    int           `json:"line,omitempty"`
	Cure    string        `json:"cure,omitempty"`
}

// An EventType says what kind of thing happened.
type EventType string

// What can happen.
const (
	EventStart    EventType = "start"    // a step, or the run, has begun
	EventTask     EventType = "task"     // a task of a step has begun, or ended with Status
	EventLog      EventType = "log"      // Text is foreign output, a line or as many as came at once; it is not trusted
	EventNote     EventType = "note"     // Text is a line of our own
	EventWarning  EventType = "warning"  // Text is about File and Line
	EventProgress EventType = "progress" // Done of Total, for Task
	EventOutput   EventType = "output"   // a promise was kept: Task=Text
	EventTest     EventType = "test"     // Task is a test that ended with Status, Text is why
	EventVerdict  EventType = "verdict"  // Task is a workload, Text what became of it
	EventRetry    EventType = "retry"    // an attempt failed; another follows
	EventFinish   EventType = "finish"   // a step, or the run, ended with Status
)

// A Status says how a step, or a run, ended.
type Status string

// How a step can end.
const (
	StatusOK       Status = "ok"
	StatusReused   Status = "reused"  // nothing had to be done
	StatusFailed   Status = "failed"  // the stage failed
	StatusSkipped  Status = "skipped" // a need did not succeed, or its if was false
	StatusCanceled Status = "canceled"
)

// Good reports whether what needs the step may go on.
func (s Status) Good() bool { return s == StatusOK || s == StatusReused }

// A Sink receives events, one at a time, in the order they happened.
// It must not block for long: the run waits for it.
type Sink func(Event)

// An Env is what a running Action may touch.
type Env struct {
	Scope Scope  // its Steps grow while the run goes on
	Sink  Sink   // nil discards
	Turn  func() // ends the turn of the step; nil: it has none
}

// EndTurn lets another step have its turn. A step whose [Action] takes turns begins when it
// has one, and keeps it until it calls EndTurn or ends; further attempts wait for none.
func (e *Env) EndTurn() {
	if e.Turn != nil {
		e.Turn()
	}
}

// Keep makes an output of the step known, and says so.
func (e *Env) Keep(output string, v any) {
	e.Scope.Steps.Keep(Ref{Stage: e.Scope.Step, Output: output}, v)
	e.Emit(Event{Type: EventOutput, Task: output, Text: fmt.Sprint(v)})
}

// Emit sends ev to the sink, marked with the step.
func (e *Env) Emit(ev Event) {
	if e.Sink != nil {
		ev.Step = e.Scope.Step
		e.Sink(ev)
	}
}

// Notef emits a line of our own.
func (e *Env) Notef(format string, args ...any) {
	e.Emit(Event{Type: EventNote, Text: fmt.Sprintf(format, args...)})
}
