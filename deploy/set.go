package deploy

import (
	"slices"
	"strings"
)

// A Set is what one deployment consists of. Inventory, lease and history
// belong to the deployment, which is named Pipeline/Name and lives in Namespace.
type Set struct {
	Pipeline    string
	Name        string
	Environment string // empty where the pipeline has none
	Namespace   string // of objects that name none; never empty
	Objects     []Object
	Pins        []Pin
	Adopt       bool        `json:",omitempty"` // what other tools manage is taken over; else it is an error
	Force       []string    `json:",omitempty"` // fields that are taken from whoever has them, as a [ConflictError] names them
	Readies     []Readiness `json:",omitempty"` // when what runs no pods is ready; the first that fits an object counts
	Leave       []string    // addresses of members that are neither among Objects nor to be deleted; see [Object.String]
}

// String returns the name of the deployment: "pipeline/name", or the name
// alone where there is no pipeline.
func (s Set) String() string { return strings.TrimPrefix(s.Pipeline+"/"+s.Name, "/") }

// Leaves reports whether o, with its namespace, is to be left as it is.
func (s Set) Leaves(o Object) bool {
	return slices.Contains(s.Leave, o.String()) || o.Namespace() == s.Namespace && slices.Contains(s.Leave, o.Kind()+" "+o.Name())
}

// An Op is what happens to an object.
type Op string

// What can happen to an object.
const (
	Create    Op = "create"
	Configure Op = "configure"
	Unchanged Op = "unchanged"
	Replace   Op = "replace"  // it is deleted and made anew, because what changes cannot be changed
	Delete    Op = "delete"   // it is no longer in the set; done after the rest is proven
	Conclude  Op = "conclude" // nothing of it differs, but the run that began it did not end well: it is judged again
)

// Changing reports whether changes would change anything.
func Changing(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Op != Unchanged })
}

// Deletes returns those of changes that delete.
func Deletes(changes []Change) []Change {
	var deletes []Change
	for _, c := range changes {
		if c.Op == Delete {
			deletes = append(deletes, c)
		}
	}
	return deletes
}

// A Change is one object and what happens to it.
type Change struct {
	Object Object
	Op     Op
	Diff   string // one line per field, "path: old → new"; values of Secrets are masked

	Live map[string]any `json:"-"` // the object as it is in the cluster, where it is changed; nil: it is not known
}

// A Status is one observation of an object on its way.
type Status struct {
	Object  string // its address; see [Object.String]
	Message string
}
