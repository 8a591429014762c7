package kustomize

import (
	"fmt"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"sigs.k8s.io/kustomize/api/types"
)

// A change is an entry of a kustomization that changes some objects.
type change struct {
	by     *layer               // whose entry it is
	names  []string             // of what it changes, if that is known
	like   *types.SelectorRegex // or how these look
	kind   string               // that they have; empty: any
	image  *types.Image         // or the image that they have
	words  []string             // its scalars
	refers []string             // as of a unit

	classes map[*class]bool // that it may change; nil: all
}

// readChanges notes what a layer changes, and in which objects.
func (t *tree) readChanges(l *layer) error {
	add := func(field string, c *change) {
		c.by = l
		l.changes[field] = append(l.changes[field], c)
		t.changes = append(t.changes, c)
	}
	for n := range l.spec.Images {
		add("images", &change{image: &l.spec.Images[n]})
	}
	for _, r := range l.spec.Replicas {
		add("replicas", &change{names: []string{r.Name}})
	}
	for n, p := range l.spec.Patches {
		c, err := t.readPatch(p, filepath.Dir(l.path))
		if err != nil {
			return fmt.Errorf("patch %d: %w", n, err)
		}
		add("patches", c)
	}
	return nil
}

func (t *tree) readPatch(p types.Patch, folder string) (*change, error) {
	text := p.Patch
	if p.Path != "" {
		raw, err := t.g.ReadFile(unlinked(filepath.Join(folder, p.Path)))
		if err != nil {
			return nil, err
		}
		text += string(raw)
	}
	docs, err := parse([]byte(text))
	switch {
	case err != nil:
		return nil, err
	case p.Options != nil || marked(text):
		return nil, fmt.Errorf("it may change names, or marks of kustomize's own")
	}
	c := &change{}
	for _, doc := range docs {
		if len(doc.Content) == 0 {
			continue
		}
		body := resolve(doc.Content[0])
		c.words, c.refers = words(body, c.words), referred(body, c.refers)
		if body.Kind == yaml.SequenceNode {
			for _, op := range body.Content {
				if moves(value(op, "path")) || get(op, "from") != nil && moves(value(op, "from")) {
					return nil, fmt.Errorf("it changes who an object is")
				}
			}
		} else if p.Target == nil {
			name := value(get(body, "metadata"), "name")
			if name == "" {
				return nil, fmt.Errorf("it names no object")
			}
			c.names = append(c.names, name)
		}
	}
	if p.Target == nil {
		return c, nil
	}
	if c.kind = p.Target.Kind; !literal(c.kind) {
		c.kind = ""
	}
	if p.Target.Name != "" && literal(p.Target.Name) {
		c.names = []string{p.Target.Name}
		return c, nil
	}
	c.like, err = types.NewSelectorRegex(p.Target)
	return c, err
}

// moves reports whether a JSON pointer leads to what an object is known by, or to
// something around that.
func moves(pointer string) bool {
	path := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	switch path[0] {
	case "", "apiVersion", "kind":
		return true
	case "metadata":
		return len(path) == 1 || path[1] != "labels" && path[1] != "annotations"
	}
	return false
}
