package kustomize

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// A view is the file system as the kustomization of a part sees it: with fewer
// documents in files, and fewer entries in kustomizations.
type view struct {
	*guard
	files map[string][]byte
}

// ReadFile reads a file of the part.
func (v *view) ReadFile(path string) ([]byte, error) {
	if text, ok := v.files[unlinked(path)]; ok {
		return text, v.stop()
	}
	return v.guard.ReadFile(path)
}

// view returns what a part sees. What is for nobody is shown once: a change to the first
// part that sees its layer, a layer without objects to the first one.
func (t *tree) view(p *part) *view {
	v := &view{t.g, map[string][]byte{}}
	seen := map[*layer]bool{}
	for c := range p.in {
		for _, u := range c.units {
			for _, l := range u.above {
				seen[l] = true
			}
			if u.path != "" && v.files[u.path] == nil {
				v.files[u.path] = joined(t.files[u.path], p)
			}
		}
	}
	for _, l := range t.order {
		lists := func(below *layer) bool { return below != nil && seen[below] }
		if seen[l] = seen[l] || l.bare && !l.shown || slices.ContainsFunc(l.below, lists); seen[l] {
			v.files[l.path] = l.seen(p, v, seen)
			l.shown = true
		}
	}
	return v
}

// joined returns the text of a file with those of its units that are in a part.
func joined(units []*unit, p *part) []byte {
	var text strings.Builder
	end := ""
	for _, u := range units {
		if !p.in[u.class] {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\n---\n")
		}
		text.WriteString(u.text)
		if end = "\n"; u.last {
			end = ""
		}
	}
	return []byte(text.String() + end)
}

// seen returns the text of a kustomization with those of its entries that are for a
// part; JSON is YAML.
func (l *layer) seen(p *part, v *view, seen map[*layer]bool) []byte {
	fields := map[string]any{}
	for name, value := range maps.All(l.fields) {
		fields[name] = value
	}
	for name, entries := range l.lists {
		var some []json.RawMessage
		for n, entry := range entries {
			wanted := false
			switch {
			case name == "resources" && l.below[n] != nil:
				wanted = seen[l.below[n]]
			case name == "resources":
				wanted = v.files[l.files[n]] != nil
			case l.units[name] != nil:
				wanted = p.in[l.units[name][n].class]
			default:
				c := l.changes[name][n]
				wanted = c.meets(p.in) || !l.shown && len(c.classes) == 0
			}
			if wanted {
				some = append(some, entry)
			}
		}
		if fields[name] = some; len(some) == 0 {
			delete(fields, name)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // it was read from JSON
	}
	return text
}
