package kustomize

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/deploy"
)

// A lazily finds places where they are asked for, which is where something is wrong: of
// each object to go through all patches would cost as much as to render them.
type lazily struct {
	g    *guard
	from source
}

var _ deploy.Source = (*lazily)(nil)

// Locate implements [deploy.Source].
func (l *lazily) Locate(o deploy.Object, path deploy.Path) (file string, line int) {
	return append(places{{file: l.from.file, body: l.from.body}}, l.g.patches(l.from)...).Locate(o, path)
}

// A written is a place in the user's files that says something about one
// object: the object itself, or a patch of it.
type written struct {
	file string
	body *yaml.Node // an object, or a strategic merge patch of one
	ops  *yaml.Node // or a list of JSON 6902 operations
	plus int        // lines before those of body, if it stands in a string
}

// places finds the lines of an object's fields. Those of a patch win over those
// of what it patches, if their value is the one that came out.
type places []written

// Locate returns where a field is written.
func (p places) Locate(o deploy.Object, path deploy.Path) (file string, line int) {
	deepest, exact := -1, false
	for _, w := range slices.Backward(p) {
		found, depth, same := w.find(o, path)
		if found != 0 && (depth > deepest || depth == deepest && same && !exact) {
			file, line, deepest, exact = w.file, found+w.plus, depth, same
		}
	}
	return file, line
}

// find returns the line of path, how much of it is written here, and whether
// its value is that of o.
func (w written) find(o deploy.Object, path deploy.Path) (line, depth int, same bool) {
	if w.ops != nil {
		return w.operation(o, path)
	}
	at := w.body
	line = at.Line
	for depth = 0; depth < len(path); depth++ {
		key, value := below(at, o, path[:depth], path[depth])
		if value == nil {
			return line, depth, false
		}
		at, line = value, key.Line
	}
	got := o.Field(path...)
	return line, depth, at.Kind != yaml.ScalarNode || got == nil || fmt.Sprint(got) == at.Value
}

// below returns the node at a name in a mapping, or at a place in a list: an
// item is known by its name, for patches leave the others out.
func below(at *yaml.Node, o deploy.Object, parent deploy.Path, name string) (key, value *yaml.Node) {
	at = resolve(at)
	if at.Kind != yaml.SequenceNode {
		each(at, func(k, v *yaml.Node) {
			if k.Value == name {
				key, value = k, v
			}
		})
		return key, value
	}
	for _, id := range []string{"name", "mountPath", "containerPort", "port", "key"} {
		want := o.Field(parent.To(name, id)...)
		if want == nil {
			continue
		}
		for _, item := range at.Content {
			if text(item, id) == fmt.Sprint(want) {
				n, _ := strconv.Atoi(name)
				if n < len(at.Content) && text(at.Content[n], id) == fmt.Sprint(want) { // of two with one name, the one that is meant
					item = at.Content[n]
				}
				return item, resolve(item)
			}
		}
		return nil, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(at.Content) {
		return at.Content[n], resolve(at.Content[n])
	}
	return nil, nil
}

// operation finds the JSON 6902 operation that wrote path, or what is around it.
func (w written) operation(o deploy.Object, path deploy.Path) (line, depth int, same bool) {
	for _, op := range w.ops.Content {
		pointer := strings.Split(strings.TrimPrefix(text(op, "path"), "/"), "/")
		var to deploy.Path
		for n, part := range pointer {
			part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
			if part == "-" && n < len(path) {
				part = path[n]
			}
			to = append(to, part)
		}
		value := field(op, "value")
		if len(to) == 0 || len(to) > len(path) || !slices.Equal(to, path[:len(to)]) || len(to) < depth {
			continue
		}
		line, depth, same = resolve(op).Line, len(to), true
		if value == nil {
			continue
		}
		inner := written{body: value}
		if n, deeper, equal := inner.find(deploy.Object{Body: map[string]any{"": o.Field(to...)}}, path[len(to):]); deeper > 0 {
			line, depth, same = n, depth+deeper, equal
		} else if got := o.Field(path...); len(to) == len(path) && value.Kind == yaml.ScalarNode {
			line, same = value.Line, got == nil || fmt.Sprint(got) == value.Value
		}
	}
	return line, depth, same
}

// patches returns what patches an object that is written as s, in the files
// that were read, the outermost kustomization last.
func (g *guard) patches(s source) []written {
	var found []written
	for _, path := range slices.Backward(g.order) {
		f := g.files[path]
		if !isKustomization(path) || f == nil {
			continue
		}
		for _, doc := range f.docs {
			for _, list := range []string{"patches", "patchesStrategicMerge", "patchesJson6902"} {
				entries := field(doc, list)
				if entries == nil {
					continue
				}
				for _, entry := range entries.Content {
					found = append(found, g.patch(path, f, resolve(entry), s)...)
				}
			}
		}
	}
	return found
}

// patch returns one entry of a list of patches, as far as it patches s.
func (g *guard) patch(path string, f *file, entry *yaml.Node, s source) []written {
	inline, named, target := entry, entry, (*yaml.Node)(nil)
	if entry.Kind == yaml.MappingNode {
		inline, named, target = field(entry, "patch"), field(entry, "path"), field(entry, "target")
	}
	if target != nil && (!matches(text(target, "kind"), s.kind) || !matches(text(target, "name"), s.name)) {
		return nil
	}
	docs, name, plus := []*yaml.Node(nil), f.name, 0
	if named != nil && named.Kind == yaml.ScalarNode {
		if from := g.files[unlinked(beside(path, named.Value))]; from != nil {
			docs, name = from.docs, from.name
		}
	}
	if docs == nil && inline != nil && inline.Kind == yaml.ScalarNode {
		docs, _ = parse([]byte(inline.Value))
		if plus = inline.Line; inline.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
			plus--
		}
	}
	var found []written
	for _, doc := range docs {
		if len(doc.Content) == 0 {
			continue
		}
		body := resolve(doc.Content[0])
		switch {
		case body.Kind == yaml.SequenceNode:
			found = append(found, written{file: name, ops: body, plus: plus})
		case target != nil, text(body, "kind") == s.kind && text(field(body, "metadata"), "name") == s.name:
			found = append(found, written{file: name, body: body, plus: plus})
		}
	}
	return found
}

// matches reports whether a target's pattern is empty or fits.
func matches(pattern, word string) bool {
	if pattern == "" || pattern == word {
		return true
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && re.MatchString(word)
}
