package pipeline

import "context"

// A Plan is everything a run will do, decided before anything is changed. It is
// a plain value: print it, compare it, encode it as JSON, or give it to an
// engine. A dry run is a Plan that is never run.
type Plan struct {
	Pipeline    string           `json:"pipeline"`
	Environment string           `json:"environment,omitempty"`
	From        string           `json:"from,omitempty"`    // the release that outputs are taken from
	Release     string           `json:"release,omitempty"` // where the release of a green run goes: repository:tag
	Partial     bool             `json:"partial,omitempty"` // stages were left out on request
	Missing     error            `json:"-"`                 // why there is no release to take from; a run does not begin
	Steps       []Step           `json:"steps"`             // each step after all it needs; ties in file order
	Outputs     map[string]Value `json:"outputs,omitempty"`
	Scope       Scope            `json:"-"` // what was known while planning
}

// Unchecked returns what could not be checked while planning, as an [ErrorList]
// with the places of the stages, or nil.
func (p *Plan) Unchecked() error {
	var list ErrorList
	list.Add(Pos{}, "", "not-released", p.Missing)
	for _, s := range p.Steps {
		for _, err := range s.Unchecked {
			list.Add(s.Pos, s.ID, "unchecked", err)
		}
	}
	return list.Err()
}

// Held returns what nobody has approved, as an [ErrorList] with the places of the
// stages, or nil.
func (p *Plan) Held() error {
	var list ErrorList
	for _, s := range p.Steps {
		for _, err := range s.Held {
			list.Add(s.Pos, s.ID, "held", err)
		}
	}
	return list.Err()
}

// Effects returns how many changes the plan makes.
func (p *Plan) Effects() int {
	n := 0
	for _, s := range p.Steps {
		if !s.Idle {
			n += len(s.Effects)
		}
	}
	return n
}

// A Step is one stage, planned, or one cell of a stage with a matrix.
type Step struct {
	ID     ID             `json:"id"`
	Matrix map[string]any `json:"matrix,omitempty"` // the values of the cell
	Kind   string         `json:"kind"`
	Pos    Pos            `json:"-"`
	Needs  []Need         `json:"-"`
	After  []ID           `json:"after,omitempty"` // the steps of Needs, sorted; the stage for all cells of one
	Policy Policy         `json:"-"`
	Off    bool           `json:"-"`              // Skip is the step's own if: an optional need passes
	Idle   bool           `json:"idle,omitempty"` // lazy, and no step that runs needs it
	Action
}

// An Action is what one stage has decided to do.
type Action struct {
	Outputs map[string]Value `json:"outputs,omitempty"` // known ones and promises
	Effects []Effect         `json:"effects,omitempty"` // an upper bound of what Do changes, in order
	Notes   []string         `json:"notes,omitempty"`   // why, one line each
	Lazy    bool             `json:"-"`                 // Do is needed only by those who need its outputs
	Builds  bool             `json:"-"`                 // Do needs a builder
	Turn    bool             `json:"-"`                 // Do begins with what only some may do at a time, and calls [Env.EndTurn]
	From    string           `json:"from,omitempty"`    // the release that the outputs are taken from
	Skip    string           `json:"skip,omitempty"`    // why the step does not run after all
	Served  bool             `json:"-"`                 // of a lazy Do: what the stage is there for is done already
	Uses    []string         `json:"-"`                 // repositories of images that Do runs

	// Unchecked says what could not be found out while planning: a registry or
	// cluster that did not answer. A plan may have it; a run begins without.
	Unchecked []error `json:"-"`

	// Held says which of the effects somebody has to approve who has not. A plan
	// may have it; a run begins without.
	Held []error `json:"-"`

	// Preview returns what the stage would hand over, as text, with zeros for
	// digests that are not known yet. It is nil for stages that have none.
	Preview func() ([]byte, error) `json:"-"`

	// Checks says that Do looks at what the steps before it did: if it fails, they
	// are undone.
	Checks bool `json:"-"`

	// Undo takes back what Do did, because a step that checks it failed with cause.
	// It is called at most once, and only after Do ended well. Nil: it is left.
	Undo func(ctx context.Context, env *Env, cause error) error `json:"-"`

	// Do performs the effects. It is nil when there is nothing to do.
	Do func(ctx context.Context, env *Env) error `json:"-"`
}

// An Effect is one change to the world outside the process.
type Effect struct {
	Verb   string `json:"verb"`             // build, push, tag, run, create, configure
	Object string `json:"object"`           // what is changed
	Detail string `json:"detail,omitempty"` // how, in one line
	Diff   string `json:"diff,omitempty"`   // what changes, a line for each field
}
