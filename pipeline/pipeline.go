package pipeline

import (
	"context"
	"time"
)

// An ID names a stage within its pipeline, or one step of a stage with a
// matrix: svc[cart].
type ID string

// A Pipeline is a pipeline file, decoded and checked.
type Pipeline struct {
	Name         string
	Pos          Pos
	Dir          string // absolute folder of the file; relative paths start here
	Vars         []Var
	Environments []Environment
	Stages       []Stage // in file order
	Outputs      []Output
	Registries   Registries
	Release      Value // repository that releases are pushed to; zero means none
}

// Environment returns the environment called name.
func (p *Pipeline) Environment(name string) (Environment, bool) {
	for _, e := range p.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Stage returns the stage called id, or nil.
func (p *Pipeline) Stage(id ID) *Stage {
	for i := range p.Stages {
		if p.Stages[i].ID == id {
			return &p.Stages[i]
		}
	}
	return nil
}

// A Var is something the user may set from outside.
type Var struct {
	Name        string
	Pos         Pos
	Type        Type
	Default     any    // nil: the var has none and must be set
	Optional    bool   // need not be set: without a value it is empty
	Env         string // environment variable that sets it
	Pattern     string // regular expression that all of a text matches; empty means any
	OneOf       []any  // what the value can be; empty means anything
	Min, Max    *int   // bounds of a number; nil means none
	Description string
}

// An Environment is where a run goes.
type Environment struct {
	Name       string
	Pos        Pos
	Namespace  string
	Context    string // of the kubeconfig; empty means the current one
	ClusterUID string // UID of the namespace kube-system of the cluster that is meant; empty means any
	Protected  bool
	Promotes   string // environment whose releases go here; empty means none
	Vars       map[string]Value
}

// An Output is a value that the pipeline gives to whoever ran it.
type Output struct {
	Name  string
	Value Value
}

// A Stage is one entry of a pipeline: its place in the graph and its body.
type Stage struct {
	ID          ID
	Pos         Pos
	Kind        string
	Description string
	Needs       []Need
	If          *Value // nil: always
	Policy      Policy
	Matrix      *Matrix         // nil: the stage is one step
	Outputs     map[string]Type // what the stage promises
	Body        Planner
}

// A Need says that a stage comes after another.
type Need struct {
	Stage    ID      // in a plan, a step
	Cells    []Value // names of those that are meant, of a stage with a matrix; nil means all
	Pos      Pos
	Optional bool // passes also when the other's if was false
	Data     bool // implied by a reference to an output, not written
}

// A Policy says how the engine treats a stage. The zero Policy runs it once,
// after its needs succeeded, for as long as it takes.
type Policy struct {
	Timeout time.Duration // zero means no limit
	Retries int           // further attempts after the first
	Always  bool          // runs even if a need failed or was skipped
}

// A Planner is the decoded body of a stage.
type Planner interface {
	// Plan decides what the stage will do. It may read files, registries and
	// clusters, but changes nothing outside the process, except for caches
	// that nothing depends on. Planning twice gives the same Action.
	Plan(ctx context.Context, sc Scope) (Action, error)
}

// An Outputter is a Planner whose outputs depend on what the user wrote. It is
// asked after decoding, before anything is planned.
type Outputter interface {
	Outputs() map[string]Type
}

// A Checker is a Planner that can find mistakes which its types don't show. It
// is asked after decoding; its errors are [FieldError] where they have a field.
type Checker interface {
	Check() []error
}

// A Taker is a Planner whose outputs may be taken from an earlier run instead of
// being made again: what it does is about images, and not about an environment.
type Taker interface {
	// Take plans as [Planner.Plan] does, given what the earlier run kept, which
	// is of a step that ended well. It reports false if the stage cannot do with
	// that, and has to be planned as always. Its error wraps a [StaleError] when
	// what was kept is no longer there.
	Take(ctx context.Context, sc Scope, held Held) (act Action, ok bool, err error)
}

// Held are the outputs of a step that an earlier run kept.
type Held struct {
	Release string // id of the release
	Outputs map[string]any
}

// Image returns the image that was kept, if there was one.
func (h Held) Image() (ImageRef, bool) {
	ref, ok := h.Outputs["image"].(ImageRef)
	return ref, ok
}

// A Kind is a type of stage, such as "build". Kinds are rows in a table that
// main passes around (see stages.Kinds); there is no global registry.
type Kind struct {
	Name    string         // as written in the file
	Summary string         // one line, for hints and help
	New     func() Planner // a pointer to an empty body to decode into
}
