package kustomize

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A unit is what is rendered together at the least: a document, a file that cannot
// be split, or an entry of a generator.
type unit struct {
	path   string // of its file; empty: it is generated
	text   string
	last   bool            // nothing follows it in its file
	names  map[string]bool // that its objects have anywhere on the way
	kinds  []string
	words  []string // its scalars: what it refers to is among them
	spaces []string // namespaces that its objects are written with
	refers []string // namespaces of what it refers to by name and namespace
	above  []*layer
	class  *class
}

// marked reports whether text may hold annotations by which kustomize remembers
// and decides.
func marked(text string) bool {
	return strings.Contains(text, "config.kubernetes.io") || strings.Contains(text, "config.k8s.io")
}

// readFile reads a file of resources, and splits it.
func (t *tree) readFile(path string) error {
	if t.files[path] != nil {
		return nil
	}
	raw, err := t.g.ReadFile(path)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(raw), "\r\n", "\n")
	if marked(text) || strings.ContainsAny(text, "\r\u0085\u2028\u2029") {
		return fmt.Errorf("%s has marks of kustomize's own, or odd ends of lines", path)
	}
	pieces, err := split(text)
	if err != nil {
		return err
	}
	pieces = filled(pieces)
	for n, piece := range pieces {
		t.files[path] = append(t.files[path], &unit{path: path, text: piece, last: n == len(pieces)-1, names: map[string]bool{}})
	}
	t.units = append(t.units, t.files[path]...)
	return nil
}

// understand notes what the units of a file are and say.
func (t *tree) understand(path string) error {
	units := t.files[path]
	begins := make([]int, len(units)) // lines
	for n := 1; n < len(units); n++ {
		begins[n] = begins[n-1] + strings.Count(units[n-1].text, "\n") + 2
	}
	for _, doc := range t.g.files[path].docs {
		if len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null" {
			continue
		}
		n, exact := slices.BinarySearch(begins, doc.Content[0].Line-1)
		if !exact {
			n--
		}
		if err := units[n].add(resolve(doc.Content[0])); err != nil {
			return err
		}
		if len(units) > 1 && strings.HasSuffix(units[n].kinds[0], "List") {
			return fmt.Errorf("has a list among others") // kustomize takes that for another kind of list than one that is alone
		}
	}
	for _, u := range units {
		if len(u.names) == 0 {
			return fmt.Errorf("has a document without an object")
		}
	}
	return nil
}

// add notes what a document has: an object, or a list of some.
func (u *unit) add(body *yaml.Node) error {
	kind := value(body, "kind")
	if kind == "" {
		return fmt.Errorf("line %d has no kind", body.Line)
	}
	u.kinds = append(u.kinds, kind)
	u.words = words(body, u.words)
	u.refers = referred(body, u.refers)
	if items := get(body, "items"); strings.HasSuffix(kind, "List") && items != nil {
		for _, item := range items.Content {
			if err := u.identify(resolve(item)); err != nil {
				return err
			}
		}
		return nil
	}
	return u.identify(body)
}

func (u *unit) identify(body *yaml.Node) error {
	metadata := get(body, "metadata")
	name, kind := value(metadata, "name"), value(body, "kind")
	if name == "" || kind == "" {
		return fmt.Errorf("line %d has no kind or no name", body.Line)
	}
	u.names[name] = true
	u.kinds = append(u.kinds, kind)
	u.spaces = append(u.spaces, value(metadata, "namespace"))
	return nil
}
