package deploy

import "strings"

// A Set is what one deployment consists of. Inventory, lease and history
// belong to the deployment, which is named Pipeline/Name and lives in Namespace.
type Set struct {
	Pipeline    string
	Name        string
	Environment string // empty where the pipeline has none
	Namespace   string // of objects that name none; never empty
	Objects     []Object
	Pins        []Pin
}

// String returns the name of the deployment: "pipeline/name", or the name
// alone where there is no pipeline.
func (s Set) String() string { return strings.TrimPrefix(s.Pipeline+"/"+s.Name, "/") }

// An Op is what happens to an object.
type Op string

// What can happen to an object.
const (
	Create    Op = "create"
	Configure Op = "configure"
	Unchanged Op = "unchanged"
)

// A Change is one object and what happens to it.
type Change struct {
	Object Object
	Op     Op
	Diff   string // one line per field, "path: old → new"; values of Secrets are masked
}

// A Status is one observation of an object on its way.
type Status struct {
	Object  string // its address; see [Object.String]
	Message string
}
