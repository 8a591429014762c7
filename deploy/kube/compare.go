package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// Limits of what a diff shows.
const (
	maxLines = 100
	maxValue = 160 // bytes of one value
)

// noise is what a server writes into every object, and what nobody wants in a diff.
func noise() [][]string {
	return [][]string{
		{"metadata", "managedFields"},
		{"metadata", "resourceVersion"},
		{"metadata", "generation"},
		{"metadata", "uid"},
		{"metadata", "creationTimestamp"},
		{"metadata", "selfLink"},
		{"status"},
		{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"}, // holds the values of Secrets in clear
		{"metadata", "annotations", "deployment.kubernetes.io/revision"},
	}
}

// Difference returns how to becomes what from is not, one line a field, and
// whether there is any difference. A field that others own says so. Values of
// Secrets are masked.
func Difference(from, to map[string]any) (lines string, differ bool) {
	live := from
	from, to = quiet(from), quiet(to)
	d := comparison{live: live, secret: deploy.Object{Body: to}.Kind() == "Secret"}
	d.value(nil, from, to)
	if len(d.lines) > maxLines {
		more := len(d.lines) - maxLines
		d.lines = append(d.lines[:maxLines], fmt.Sprintf("… and %d more fields", more))
	}
	return strings.Join(d.lines, "\n"), len(d.lines) > 0
}

// quiet returns a copy of body without noise.
func quiet(body map[string]any) map[string]any {
	for _, path := range noise() {
		body = without(body, path)
	}
	return body
}

// without returns body without what stands at path; it copies the maps on the way.
func without(body map[string]any, path []string) map[string]any {
	if _, ok := body[path[0]]; !ok {
		return body
	}
	body = maps.Clone(body)
	below, ok := body[path[0]].(map[string]any)
	switch {
	case len(path) == 1:
		delete(body, path[0])
	case ok:
		below = without(below, path[1:])
		body[path[0]] = below
		if len(below) == 0 && path[0] == "annotations" {
			delete(body, path[0])
		}
	}
	return body
}

type comparison struct {
	live   map[string]any
	secret bool
	lines  []string
}

func (d *comparison) value(path []string, a, b any) {
	if sameScalar(a, b, false) {
		return
	}
	switch b := b.(type) {
	case map[string]any:
		if a, ok := a.(map[string]any); ok {
			d.maps(path, a, b)
			return
		}
	case []any:
		if a, ok := a.([]any); ok {
			d.lists(path, a, b)
			return
		}
	}
	d.line(path, a, b)
}

func (d *comparison) maps(path []string, a, b map[string]any) {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, had := a[name]
		now, has := b[name]
		below := append(slices.Clip(path), name)
		switch {
		case !had && d.hides(below):
			d.lines = append(d.lines, dotted(below)+": "+absent+" → "+hidden)
		case !had && marked(below):
			d.value(below, map[string]any{}, now)
		case !had:
			d.line(below, gone{}, now)
		case !has:
			d.line(below, old, gone{})
		default:
			d.value(below, old, now)
		}
	}
}

// marked reports whether path is that of labels or annotations, which are shown one by one.
func marked(path []string) bool {
	last := path[len(path)-1]
	return len(path) > 1 && path[len(path)-2] == "metadata" && (last == "labels" || last == "annotations")
}

// lists compares item by item: by name where all items of both have one, and
// else by place.
func (d *comparison) lists(path []string, a, b []any) {
	olds, order, okOld := byName(a)
	news, wanted, okNew := byName(b)
	if !okOld || !okNew {
		for n := range max(len(a), len(b)) {
			below := indexed(path, strconv.Itoa(n))
			switch {
			case n >= len(a):
				d.line(below, gone{}, b[n])
			case n >= len(b):
				d.line(below, a[n], gone{})
			default:
				d.value(below, a[n], b[n])
			}
		}
		return
	}
	before := len(d.lines)
	for _, name := range order {
		if _, ok := news[name]; !ok {
			d.line(indexed(path, name), olds[name], gone{})
		}
	}
	for _, name := range wanted {
		if old, ok := olds[name]; ok {
			d.value(indexed(path, name), old, news[name])
		} else {
			d.line(indexed(path, name), gone{}, news[name])
		}
	}
	if len(d.lines) == before && !slices.Equal(order, wanted) {
		d.lines = append(d.lines, dotted(path)+": "+strings.Join(order, ", ")+" → "+strings.Join(wanted, ", "))
	}
}

// byName returns the items of a list by their names, if each has its own.
func byName(list []any) (items map[string]any, order []string, ok bool) {
	items = map[string]any{}
	for _, item := range list {
		body, _ := item.(map[string]any)
		name, _ := body["name"].(string)
		if _, twice := items[name]; name == "" || twice {
			return nil, nil, false
		}
		items[name] = item
		order = append(order, name)
	}
	return items, order, true
}

// gone stands for a value that is not there.
type gone struct{}

const (
	absent = "(none)"
	hidden = "(secret)"
)

func (d *comparison) line(path []string, a, b any) {
	text := dotted(path) + ": " + shownValue(a) + " → " + shownValue(b)
	if d.hides(path) {
		text = dotted(path) + ": " + masked(a, hidden) + " → " + masked(b, "(another secret)")
	}
	if owners := ownersOf(d.live, path); len(owners) > 0 {
		text += " (owned by " + strings.Join(owners, ", ") + ")"
	}
	d.lines = append(d.lines, text)
}

// hides reports whether the value at path, or one below it, is a Secret's.
func (d *comparison) hides(path []string) bool {
	return d.secret && (len(path) == 0 || path[0] == "data" || path[0] == "stringData")
}

func masked(v any, text string) string {
	if _, ok := v.(gone); ok || v == nil {
		return absent
	}
	return text
}

// shownValue returns v on one line, short, and without control characters.
func shownValue(v any) string {
	if _, ok := v.(gone); ok {
		return absent
	}
	if s, ok := v.(string); ok && s != "" && !strings.ContainsFunc(s, unprintable) {
		return cut(s)
	}
	var encoded strings.Builder
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return strconv.QuoteToGraphic(fmt.Sprint(v))
	}
	var shown strings.Builder
	for _, r := range strings.TrimSpace(encoded.String()) {
		if unprintable(r) { // JSON escapes only some
			fmt.Fprintf(&shown, "\\u%04x", r)
			continue
		}
		shown.WriteRune(r)
	}
	return cut(shown.String())
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// cut shortens a long value. One that holds the digest which stands for an
// unknown one stays whole, so that others can put words in its place.
func cut(s string) string {
	if len(s) <= maxValue || strings.Contains(s, deploy.Unknown) {
		return s
	}
	return strings.ToValidUTF8(s[:maxValue], "") + "…"
}

func indexed(path []string, name string) []string {
	below := slices.Clone(path)
	if len(below) == 0 {
		return []string{"[" + name + "]"}
	}
	below[len(below)-1] += "[" + name + "]"
	return below
}

// dotted joins a path; a name that holds a dot is put into brackets.
func dotted(path []string) string {
	var text strings.Builder
	for n, name := range path {
		switch {
		case strings.Contains(name, ".") && !strings.HasSuffix(name, "]"):
			text.WriteString("[" + name + "]")
			continue
		case n > 0:
			text.WriteString(".")
		}
		text.WriteString(name)
	}
	return text.String()
}

// mentions reports whether text stands in any string of v.
func mentions(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, text)
	case map[string]any:
		for _, e := range v {
			if mentions(e, text) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, text) })
	}
	return false
}
