package buildkit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parts are the inputs of a build one by one: a short digest of each, by what it
// is: "file main.go", "arg VERSION", "base alpine:3". Two builds whose Parts are
// equal have the same key.
type Parts map[string]string

// Moved returns what differs between the parts of an earlier build and p, in
// words for people: "file main.go changed", "arg VERSION is new". The Dockerfile
// comes first, then what is not a file of the context.
func (p Parts) Moved(before Parts) []string {
	names := maps.Clone(p)
	if names == nil {
		names = Parts{}
	}
	maps.Copy(names, before)
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var moved []string
	for _, name := range sorted {
		was, had := before[name]
		is, has := p[name]
		switch {
		case !had:
			moved = append(moved, name+" is new")
		case !has:
			moved = append(moved, name+" is gone")
		case was != is:
			moved = append(moved, name+" changed")
		}
	}
	return moved
}

// Summary returns the first few of what moved, and how many more there are.
func Summary(moved []string) string {
	const shown = 3
	text := strings.Join(moved[:min(shown, len(moved))], ", ")
	if more := len(moved) - shown; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

func rank(name string) int {
	switch {
	case name == "Dockerfile":
		return 0
	case strings.HasPrefix(name, "file "):
		return 2
	}
	return 1
}
