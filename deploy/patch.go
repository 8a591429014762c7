package deploy

import (
	"fmt"
	"strings"
)

// A Patch changes objects after they have been rendered: by operations, or by
// what is merged into them.
type Patch struct {
	Target Target
	Ops    []any          // JSON 6902, see https://www.rfc-editor.org/rfc/rfc6902
	Merge  map[string]any // a strategic merge patch; nil: Ops
}

// A Target says which objects a patch changes: those that all of it fits. Names
// are regular expressions that fit as a whole, as in kustomize; empty ones fit all.
type Target struct {
	Kind, Name, Group, Version, Namespace string
	LabelSelector                         string // such as "app=web,tier!=db"
}

// String returns what t asks for, such as "kind Deployment, name web".
func (t Target) String() string {
	var parts []string
	for _, p := range [][2]string{{"group", t.Group}, {"version", t.Version}, {"kind", t.Kind}, {"name", t.Name}, {"namespace", t.Namespace}, {"labels", t.LabelSelector}} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if len(parts) == 0 {
		return "anything"
	}
	return strings.Join(parts, ", ")
}

// A PatchError says what is wrong with one of several patches.
type PatchError struct {
	Patch int // its place, from 0
	Err   error
}

func (e *PatchError) Error() string { return fmt.Sprintf("patch %d: %v", e.Patch+1, e.Err) }
func (e *PatchError) Unwrap() error { return e.Err }

// Writes reports whether p wrote what stands at path in o, which it fits.
func (p Patch) Writes(o Object, path Path) bool {
	for _, op := range p.Ops {
		body, _ := op.(map[string]any)
		pointer, _ := body["path"].(string)
		to := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
		n := 0
		for n < len(to) && n < len(path) && (to[n] == "-" || strings.NewReplacer("~1", "/", "~0", "~").Replace(to[n]) == path[n]) {
			n++
		}
		if n == len(to) && pointer != "" {
			return true
		}
	}
	var at any = p.Merge
	for n, name := range path {
		switch body := at.(type) {
		case map[string]any:
			at = body[name]
		case []any: // merged by name
			at = named(body, o.Field(path[:n+1].To("name")...))
		default:
			return n > 0 && at != nil
		}
	}
	return len(path) > 0 && at != nil
}

// named returns the item of a list that has a name.
func named(list []any, name any) any {
	for _, item := range list {
		if body, ok := item.(map[string]any); ok && name != nil && body["name"] == name {
			return item
		}
	}
	return nil
}
