package kube

import (
	"encoding/json"
	"slices"
	"strings"
)

// ownersOf returns who else owns the field of live at path, as a comparison has
// it: managers that a change of it takes it from.
func ownersOf(live map[string]any, path []string) []string {
	var names []string
	for _, e := range managers(live, func(e map[string]any) bool {
		return e["manager"] != Manager && e["subresource"] != "status"
	}) {
		name, _ := e["manager"].(string)
		fields, _ := e["fieldsV1"].(map[string]any)
		if name != "" && owns(fields, path) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// owns reports whether the field at path is among fields, as fieldsV1 has them,
// or in one that is owned as a whole.
func owns(fields map[string]any, path []string) bool {
	for n, part := range path {
		name, item, indexed := strings.Cut(part, "[")
		below, ok := fields["f:"+name].(map[string]any)
		if !ok {
			return false
		}
		if indexed && len(below) > 0 {
			if below = itemOf(below, strings.TrimSuffix(item, "]")); below == nil {
				return false
			}
		}
		if len(below) == 0 {
			return n > 0
		}
		fields = below
	}
	return len(path) > 0
}

// itemOf returns the fields of the item of a list that has this name.
func itemOf(list map[string]any, name string) map[string]any {
	for key, fields := range list {
		text, ok := strings.CutPrefix(key, "k:")
		var keys map[string]any
		if ok && json.Unmarshal([]byte(text), &keys) == nil && keys["name"] == name {
			fields, _ := fields.(map[string]any)
			return fields
		}
	}
	return nil
}
