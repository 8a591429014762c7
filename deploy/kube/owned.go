package kube

import (
	"encoding/json"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-ci/slipway/deploy"
)

// applied reports whether applying desired would change nothing in live: every
// field of desired has its value there, and the fields that the server says we
// own are exactly those of desired. The second half finds fields that we no
// longer want, and those that others have changed since, for a change takes
// the ownership with it.
//
// It errs to one side: false may be wrong, and then a dry-run tells; true is right.
func applied(desired, live map[string]any) bool {
	fields := ownedFields(live, deploy.Object{Body: desired}.APIVersion())
	if fields == nil {
		return false
	}
	want := withoutAddress(desired)
	return sameMap(want, live, fields, false)
}

// ownedFields returns what the server says that we own of live, as fieldsV1 has it.
func ownedFields(live map[string]any, apiVersion string) map[string]any {
	entries, _ := deploy.Object{Body: live}.Field("metadata", "managedFields").([]any)
	for _, e := range entries {
		e, _ := e.(map[string]any)
		if e["manager"] == Manager && e["operation"] == "Apply" && e["apiVersion"] == apiVersion && (e["subresource"] == nil || e["subresource"] == "") {
			fields, _ := e["fieldsV1"].(map[string]any)
			return fields
		}
	}
	return nil
}

// withoutAddress returns desired without the fields that nobody owns.
func withoutAddress(desired map[string]any) map[string]any {
	want := map[string]any{}
	for k, v := range desired {
		want[k] = v
	}
	delete(want, "apiVersion")
	delete(want, "kind")
	metadata := map[string]any{}
	m, _ := desired["metadata"].(map[string]any)
	for k, v := range m {
		if k != "name" && k != "namespace" {
			metadata[k] = v
		}
	}
	want["metadata"] = metadata
	return want
}

func sameMap(want, live, fields map[string]any, quantities bool) bool {
	matched := 0
	for name, value := range want {
		below, ok := fields["f:"+name].(map[string]any)
		if !ok {
			return false
		}
		have, ok := live[name]
		if !ok || !sameValue(value, have, below, quantities || name == "limits" || name == "requests") {
			return false
		}
		matched++
	}
	return matched == entries(fields)
}

func sameValue(want, have any, fields map[string]any, quantities bool) bool {
	if entries(fields) == 0 { // owned as a whole, so it must be the same as a whole
		return sameScalar(want, have, quantities)
	}
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		return ok && sameMap(want, have, fields, quantities)
	case []any:
		have, ok := have.([]any)
		return ok && sameList(want, have, fields)
	}
	return false
}

// sameList compares lists whose items the server tells apart by keys of
// theirs, such as the name of a container, or by their value.
func sameList(want, have []any, fields map[string]any) bool {
	if len(want) != entries(fields) {
		return false
	}
	last, used := -1, map[string]bool{}
	for _, item := range want {
		at, name := find(item, have, fields)
		if at <= last || used[name] { // not there, ambiguous, or in another order
			return false
		}
		last, used[name] = at, true
		if body, ok := item.(map[string]any); ok {
			below, _ := fields[name].(map[string]any)
			live, ok := have[at].(map[string]any)
			if !ok || !sameMap(body, live, below, false) {
				return false
			}
		}
	}
	return true
}

// find returns the place in have of an item that we want, and the name that
// fields gives it; -1 if there is none, or more than one.
func find(item any, have []any, fields map[string]any) (at int, name string) {
	at = -1
	for field := range fields {
		var n int
		switch {
		case strings.HasPrefix(field, "k:"):
			n = findByKeys(item, have, field[2:])
		case strings.HasPrefix(field, "v:"):
			n = findByValue(item, have, field[2:])
		default:
			continue
		}
		if n < 0 {
			continue
		}
		if at >= 0 {
			return -1, ""
		}
		at, name = n, field
	}
	return at, name
}

func findByKeys(item any, have []any, text string) int {
	body, ok := item.(map[string]any)
	var keys map[string]any
	if !ok || json.Unmarshal([]byte(text), &keys) != nil {
		return -1
	}
	for key, value := range keys {
		own, ok := body[key]
		if !ok && key == "protocol" {
			own, ok = "TCP", true
		}
		if ok && !sameScalar(own, value, false) { // any other key that we leave out is defaulted to what we don't know
			return -1
		}
	}
	for n, h := range have {
		h, _ := h.(map[string]any)
		all := h != nil
		for key, value := range keys {
			all = all && sameScalar(h[key], value, false)
		}
		if all {
			return n
		}
	}
	return -1
}

func findByValue(item any, have []any, text string) int {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil || !sameScalar(item, value, false) {
		return -1
	}
	for n, h := range have {
		if sameScalar(item, h, false) {
			return n
		}
	}
	return -1
}

// sameScalar compares two JSON values as a whole. Numbers are equal by value,
// and quantities, where they are meant, by amount: the server writes 0.5 as 500m.
func sameScalar(a, b any, quantities bool) bool {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x == y
		}
	}
	if quantities {
		x, okX := quantity(a)
		y, okY := quantity(b)
		if okX && okY {
			return x.Cmp(y) == 0
		}
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func quantity(v any) (resource.Quantity, bool) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case int64, float64:
		encoded, _ := json.Marshal(v)
		text = string(encoded)
	}
	q, err := resource.ParseQuantity(text)
	return q, err == nil
}

// entries counts the fields of a node of fieldsV1; "." is the node itself.
func entries(fields map[string]any) int {
	if _, ok := fields["."]; ok {
		return len(fields) - 1
	}
	return len(fields)
}
