package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A FileError is about one file of the manifests.
type FileError struct {
	File string // as it was named to us, or relative to the pipeline file
	Line int    // from 1; zero while unknown
	Err  error
}

func (e *FileError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// A NoKustomizationError says that a folder holds nothing to render.
type NoKustomizationError struct {
	Dir string // as it was named to us
}

func (e *NoKustomizationError) Error() string {
	return fmt.Sprintf("no kustomization in %s (want kustomization.yaml; set kustomize: to its folder)", e.Dir)
}

// An ObjectError is about one object of a set.
type ObjectError struct {
	Object Object
	Err    error
}

func (e *ObjectError) Error() string {
	where := ""
	if e.Object.File != "" && e.Object.Line > 0 {
		where = fmt.Sprintf("%s:%d: ", e.Object.File, e.Object.Line)
	}
	return fmt.Sprintf("%s%s: %v", where, e.Object, e.Err)
}

func (e *ObjectError) Unwrap() error { return e.Err }

// A FieldError is something wrong with one field of an object, which the API
// server would refuse.
type FieldError struct {
	Object Object
	Path   Path
	Code   string // stable, such as "unknown-field"; programs may match it
	Err    error
}

func (e *FieldError) Error() string {
	where := ""
	if file, line := e.Object.Where(e.Path); file != "" && line > 0 {
		where = fmt.Sprintf("%s:%d: ", file, line)
	}
	return where + e.Text()
}

// Text returns the error without its place.
func (e *FieldError) Text() string {
	if len(e.Path) == 0 {
		return fmt.Sprintf("%s: %v", e.Object, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Object, e.Path, e.Err)
}

func (e *FieldError) Unwrap() error { return e.Err }

// A ConflictError says that fields of an object belong to others, who gave them other values.
type ConflictError struct {
	Fields []OwnedField
}

// An OwnedField is a field and the field manager that owns it.
type OwnedField struct {
	Manager string // such as "kubectl-client-side-apply"
	Field   string // such as "spec.replicas"
}

func (e *ConflictError) Error() string {
	var parts, managers, paths []string
	for _, f := range e.Fields {
		paths = append(paths, strconv.Quote(f.Field))
		parts = append(parts, fmt.Sprintf("%s belongs to %s", f.Field, f.Manager))
		if !slices.Contains(managers, f.Manager) {
			managers = append(managers, f.Manager)
		}
	}
	return fmt.Sprintf("%s (leave the field out of the manifest, or take it over with force: [%s] or --take-from %s)", strings.Join(parts, ", "), strings.Join(paths, ", "), strings.Join(managers, ","))
}

// A MovedError says that what would have to change is more than what was planned.
type MovedError struct {
	Changes []Change // the changes that no plan lists
}

func (e *MovedError) Error() string {
	parts := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		parts[i] = fmt.Sprintf("%s %s", c.Op, c.Object)
	}
	return fmt.Sprintf("the cluster moved since the plan, which does not list: %s (run again)", strings.Join(parts, ", "))
}

// An OwnedError says that an object belongs to another deployment.
type OwnedError struct {
	Deployment string // that has it
}

func (e *OwnedError) Error() string {
	return fmt.Sprintf("belongs to deployment %s (leave it out of one of the two)", e.Deployment)
}
