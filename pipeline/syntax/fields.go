package syntax

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// A hint is what the struct tag says of a field.
type hint struct {
	key                                                        string
	required, short, secret, image, pushed, any, cond, literal bool
}

func hintOf(f reflect.StructField) hint {
	key, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	has := func(o string) bool { return slices.Contains(strings.Split(opts, ","), o) }
	return hint{
		key: key, required: has("required"), short: has("short"), secret: has("secret"), image: has("image"),
		cond: has("if"), pushed: has("pushed"), any: has("any"), literal: has("literal"),
	}
}

// A field is a struct field that a key fills.
type field struct {
	hint
	reflect.StructField // its Index leads there through embedded structs
}

// fields has those of each type that was asked for: a file decodes the same types over
// and over.
var fields sync.Map // of reflect.Type to []field

// fieldsOf returns the fields of a struct type, those of embedded structs too. Nobody may
// change them.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fields.Load(t); ok {
		return known.([]field)
	}
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		if h := hintOf(f); h.key != "" && !f.Anonymous {
			all = append(all, field{h, f})
		}
	}
	fields.Store(t, all)
	return all
}

// keysOf returns the keys of a struct type.
func keysOf(t reflect.Type) []string {
	fields := fieldsOf(t)
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}
