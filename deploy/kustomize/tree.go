package kustomize

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

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

// A carried unit goes through the layers with the names it may have by then.
type carried struct {
	*unit
	now []string
}

// maxNames bounds the names of one unit: each layer may double them.
const maxNames = 64

// carry notes which names units have on the way through l and the layers below it.
func (t *tree) carry(l *layer) ([]carried, error) {
	var all []carried
	own := func(u *unit) {
		c := carried{unit: u}
		for name := range u.names {
			c.now = append(c.now, name)
		}
		all = append(all, c)
	}
	for n, below := range l.below {
		if below != nil {
			inner, err := t.carry(below)
			if err != nil {
				return nil, err
			}
			all = append(all, inner...)
			continue
		}
		for _, u := range t.files[l.files[n]] {
			own(u)
		}
	}
	for _, units := range l.units {
		for _, u := range units {
			own(u)
		}
	}
	l.bare = len(all) == 0
	for i := range all {
		c := &all[i]
		if !slices.Contains(c.above, l) {
			c.above = append(c.above, l)
		}
		for _, name := range c.now {
			for _, changed := range []string{l.spec.NamePrefix + name, name + l.spec.NameSuffix, l.spec.NamePrefix + name + l.spec.NameSuffix} {
				if !slices.Contains(c.now, changed) {
					c.now = append(c.now, changed)
				}
			}
		}
		if l.spec.Namespace != "" && slices.Contains(c.kinds, "Namespace") && !slices.Contains(c.now, l.spec.Namespace) {
			c.now = append(c.now, l.spec.Namespace)
		}
		if len(c.now) > maxNames {
			return nil, fmt.Errorf("%s may have too many names", c.now[0])
		}
		for _, name := range c.now {
			c.names[name] = true
		}
	}
	return all, nil
}
