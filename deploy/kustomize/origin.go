package kustomize

import (
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/deploy"
)

// source is where an object may come from.
type source struct {
	file            string
	line            int
	kind            string
	namespace, name string
	body            *yaml.Node // nil: it is generated
}

// origin returns where an object comes from. Kustomize could tell the file by
// an annotation, but that would have to be taken out of the output again; so
// the documents that kustomizations list as resources are searched. A prefix
// or suffix leaves the name in the object's; where two documents fit equally
// well, neither is returned.
func origin(sources map[string][]source, o deploy.Object) (found source, ok bool) {
	var best []source
	rank := func(s source) int {
		score := 2 * len(s.name)
		if s.namespace == o.Namespace() {
			score++
		}
		return score
	}
	for _, s := range sources[o.Kind()] {
		switch {
		case s.name == "" || !strings.Contains(o.Name(), s.name):
		case len(best) == 0 || rank(s) > rank(best[0]):
			best = []source{s}
		case rank(s) == rank(best[0]):
			best = append(best, s)
		}
	}
	if len(best) != 1 {
		return source{}, false
	}
	return best[0], true
}

// sources returns all that objects may come from, by kind.
func (g *guard) sources() map[string][]source {
	found := map[string][]source{}
	for path, f := range g.files {
		for _, s := range g.sourcesIn(path, f) {
			found[s.kind] = append(found[s.kind], s)
		}
	}
	return found
}

// sourcesIn returns the objects of a file, as they stand there.
func (g *guard) sourcesIn(path string, f *file) []source {
	var found []source
	if isKustomization(path) {
		for list, kind := range map[string]string{"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"} {
			for _, doc := range f.docs {
				generators := field(doc.Content[0], list)
				if generators == nil {
					continue
				}
				for _, generator := range generators.Content {
					if name := field(generator, "name"); name != nil {
						found = append(found, source{f.name, name.Line, kind, text(generator, "namespace"), name.Value, nil})
					}
				}
			}
		}
		return found
	}
	if g.use[path]&asResource == 0 {
		return nil
	}
	for _, doc := range f.docs {
		for _, body := range bodies(doc) {
			metadata := field(body, "metadata")
			found = append(found, source{f.name, body.Line, text(body, "kind"), text(metadata, "namespace"), text(metadata, "name"), body})
		}
	}
	return found
}

// bodies returns the objects of a document: itself, or the items of a list.
func bodies(doc *yaml.Node) []*yaml.Node {
	if len(doc.Content) == 0 {
		return nil
	}
	body := resolve(doc.Content[0])
	if items := field(body, "items"); items != nil && strings.HasSuffix(text(body, "kind"), "List") {
		var found []*yaml.Node
		for _, item := range items.Content {
			found = append(found, resolve(item))
		}
		return found
	}
	return []*yaml.Node{body}
}
