package kustomize

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	sigsyaml "sigs.k8s.io/yaml"
)

// A tree is a kustomization with all that it is built on, as far as it must be
// understood to be rendered in parts. What could make one object depend on
// another in a way that is not understood is an error.
type tree struct {
	g       *guard
	layers  map[string]*layer  // by folder
	order   []*layer           // each after those below it
	files   map[string][]*unit // by path
	units   []*unit
	changes []*change // of all layers
}

// A layer is one kustomization.
type layer struct {
	path    string // of its file
	fields  map[string]json.RawMessage
	lists   map[string][]json.RawMessage // the fields of which a part sees some entries
	spec    types.Kustomization
	below   []*layer             // by entry of resources; nil: a file
	files   []string             // by entry of resources
	units   map[string][]*unit   // by entry of a generator
	changes map[string][]*change // by entry of what changes objects
	words   []string             // that it writes into objects
	open    bool                 // what is below it is being read
	bare    bool                 // it has no objects
	shown   bool                 // to a part
}

// provenFields are those that do to each object what they say, whatever else there is,
// or name what they do it to.
func provenFields() []string {
	return []string{
		"apiVersion", "kind", "metadata", "resources", "namespace", "namePrefix", "nameSuffix", "labels", "commonAnnotations",
		"images", "replicas", "patches", "configMapGenerator", "secretGenerator", "generatorOptions",
	}
}

// readTree reads the kustomization of a folder, and all below it, if it has at least so
// many documents and entries of generators.
func (g *guard) readTree(folder string, least int) (*tree, error) {
	t := &tree{g: g, layers: map[string]*layer{}, files: map[string][]*unit{}}
	root, err := t.read(folder)
	if err != nil {
		return nil, err
	}
	if len(t.units) < least {
		return nil, fmt.Errorf("%d objects are few", len(t.units))
	}
	for path := range t.files {
		if g.use[path] != asResource {
			return nil, fmt.Errorf("%s is not only a resource", path)
		}
		if err := t.understand(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, l := range t.order {
		if g.use[l.path] != 0 {
			return nil, fmt.Errorf("%s is not only a kustomization", l.path)
		}
		if err := t.readChanges(l); err != nil {
			return nil, fmt.Errorf("%s: %w", l.path, err)
		}
	}
	_, err = t.carry(root)
	return t, err
}

// read reads a layer and those below it, in kustomize's order.
func (t *tree) read(folder string) (*layer, error) {
	if l := t.layers[folder]; l != nil {
		if l.open {
			return nil, fmt.Errorf("%s contains itself", folder)
		}
		return l, nil
	}
	l := &layer{open: true, lists: map[string][]json.RawMessage{}, units: map[string][]*unit{}, changes: map[string][]*change{}}
	t.layers[folder] = l
	if err := t.load(l, folder); err != nil {
		return nil, err
	}
	for _, entry := range l.spec.Resources {
		path := filepath.Join(folder, entry)
		if filepath.IsAbs(entry) || unlinked(path) != path {
			return nil, fmt.Errorf("%s is a link, or absolute", entry)
		}
		var below *layer
		var err error
		if t.g.IsDir(path) {
			below, err = t.read(path)
		} else {
			err = t.readFile(path)
		}
		if err != nil {
			return nil, err
		}
		l.below, l.files = append(l.below, below), append(l.files, path)
	}
	for _, args := range l.spec.ConfigMapGenerator {
		t.generate(l, "configMapGenerator", "ConfigMap", args.GeneratorArgs)
	}
	for _, args := range l.spec.SecretGenerator {
		t.generate(l, "secretGenerator", "Secret", args.GeneratorArgs)
	}
	l.open = false
	t.order = append(t.order, l)
	return l, nil
}

func (t *tree) generate(l *layer, field, kind string, args types.GeneratorArgs) {
	u := &unit{names: map[string]bool{args.Name: true}, kinds: []string{kind}, spaces: []string{args.Namespace}}
	l.units[field] = append(l.units[field], u)
	t.units = append(t.units, u)
}

func (t *tree) load(l *layer, folder string) error {
	var text []byte
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(folder, name)
		if !t.g.Exists(path) {
			continue
		}
		if l.path != "" {
			return fmt.Errorf("%s has two kustomizations", folder)
		}
		l.path = path
		var err error
		if text, err = t.g.ReadFile(path); err != nil {
			return err
		}
	}
	if err := l.spec.Unmarshal(text); err != nil {
		return err
	}
	l.spec.FixKustomization()
	asJSON, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(asJSON, &l.fields); err != nil {
		return err
	}
	for _, name := range []string{"resources", "configMapGenerator", "secretGenerator", "images", "replicas", "patches"} {
		if value := l.fields[name]; value != nil {
			var entries []json.RawMessage
			if err := json.Unmarshal(value, &entries); err != nil {
				return err
			}
			l.lists[name] = entries
		}
	}
	proven := provenFields()
	for name, value := range l.fields {
		switch {
		case !slices.Contains(proven, name):
			return fmt.Errorf("%s has %s", l.path, name)
		case name != "apiVersion" && marked(string(value)):
			return fmt.Errorf("%s has marks of kustomize's own in %s", l.path, name)
		}
	}
	if l.spec.Kind != types.KustomizationKind {
		return fmt.Errorf("%s is a %s", l.path, l.spec.Kind)
	}
	l.words = append(l.words, l.spec.Namespace)
	for _, label := range l.spec.Labels {
		if len(label.FieldSpecs) > 0 {
			return fmt.Errorf("%s says where labels go", l.path)
		}
		for _, value := range label.Pairs {
			l.words = append(l.words, value)
		}
	}
	for _, value := range l.spec.CommonAnnotations {
		l.words = append(l.words, value)
	}
	return nil
}
