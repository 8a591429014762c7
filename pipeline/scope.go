package pipeline

import (
	"fmt"
	"maps"
	"sync"
)

// A Scope is what a stage may know of its surroundings: facts that hold for the
// whole run, and the outputs that are known so far.
type Scope struct {
	Pipeline    string
	Step        ID
	Dir         string // absolute folder of the pipeline file
	File        string // the pipeline file, as the user named it
	Environment Environment
	Registries  Registries

	// Facts are by name as expressions use them: vars, environment, git, ci,
	// matrix. A
	// fact may be a func() any, which is called when it is first needed; an
	// error among them is reported when an expression needs it. The fact dirs is a
	// func(pattern string) ([]string, error), which finds folders.
	Facts map[string]any
	Steps *Results // nil: nothing is known of any step

	Cells map[ID][]string // names of the cells of stages with a matrix, in order

	// Upstream returns every stage that this one comes after, near or far, in
	// the order of the file. It is set while planning.
	Upstream func() []ID
}

// Cell returns sc for a step that is a cell with these values.
func (sc Scope) Cell(values map[string]any) Scope {
	if values != nil {
		facts := maps.Clone(sc.Facts)
		if facts == nil {
			facts = map[string]any{}
		}
		facts["matrix"] = values
		sc.Facts = facts
	}
	return sc
}

// Output returns the output that ref names. Its error wraps [ErrUnkept] while
// the output is not known.
func (sc Scope) Output(ref Ref) (any, error) {
	ref = ref.In(sc)
	if ref.Output == StatusOutput {
		if st := sc.Steps.Status(ref.Step()); st != "" {
			return string(st), nil
		}
	} else if v, ok := sc.Steps.Output(ref); ok {
		return v, nil
	}
	return nil, fmt.Errorf("stages.%s.%s: %w", ref.Step(), ref.Output, ErrUnkept)
}

// Results are the outputs and statuses of steps, as they become known. The zero
// Results is empty and ready to use, a nil one is empty; several goroutines may
// call the methods.
type Results struct {
	mu       sync.RWMutex
	outputs  map[ID]map[string]any
	statuses map[ID]Status
}

// Output returns the output that ref names, if it is known.
func (r *Results) Output(ref Ref) (any, bool) {
	if r == nil {
		return nil, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	v, ok := r.outputs[ref.Step()][ref.Output]
	return v, ok
}

// Outputs returns a copy of the known outputs of step.
func (r *Results) Outputs(step ID) map[string]any {
	if r == nil {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return maps.Clone(r.outputs[step])
}

// Status returns how step ended, or "" while it has not.
func (r *Results) Status(step ID) Status {
	if r == nil {
		return ""
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.statuses[step]
}

// Keep makes an output known.
func (r *Results) Keep(ref Ref, v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outputs == nil {
		r.outputs = map[ID]map[string]any{}
	}
	step := ref.Step()
	if r.outputs[step] == nil {
		r.outputs[step] = map[string]any{}
	}
	r.outputs[step][ref.Output] = v
}

// Drop makes the outputs of step unknown.
func (r *Results) Drop(step ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.outputs, step)
}

// End notes how step ended.
func (r *Results) End(step ID, status Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.statuses == nil {
		r.statuses = map[ID]Status{}
	}
	r.statuses[step] = status
}

// Clone returns a copy that changes apart from r.
func (r *Results) Clone() *Results {
	c := new(Results)
	if r == nil {
		return c
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	c.outputs, c.statuses = make(map[ID]map[string]any, len(r.outputs)), maps.Clone(r.statuses)
	for id, outs := range r.outputs {
		c.outputs[id] = maps.Clone(outs)
	}
	return c
}
