package kustomize

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// paths says which fields of a kustomization name files, and for what.
func paths() map[string]usage {
	return map[string]usage{
		"resources": asResource, "bases": asResource, "components": asResource,
		"generators": asPlugins, "transformers": asPlugins, "validators": asPlugins,
		"crds": asYAML, "configurations": asYAML, "patchesStrategicMerge": asYAML,
	}
}

// nested says which fields of a kustomization hold mappings with fields that name files.
func nested() map[string]map[string]usage {
	generator := map[string]usage{"files": asData, "envs": asData, "env": asData}
	path := map[string]usage{"path": asYAML}
	return map[string]map[string]usage{
		"patches": path, "patchesJson6902": path, "replacements": path, "openapi": path,
		"configMapGenerator": generator, "secretGenerator": generator,
	}
}

// inspect checks all that a kustomization names, and notes what it is used for.
func (g *guard) inspect(path string, f *file) error {
	dir := filepath.Dir(path)
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, doc := range f.docs {
		each(doc, func(key, value *yaml.Node) {
			if g.use[dir]&asPlugins != 0 && !foldIn(key.Value, "apiVersion", "kind", "metadata", "resources", "bases") {
				keep(&lineError{key.Line, fmt.Errorf("%s stands in a folder of transformers or generators (that may only list resources)", key.Value)})
			}
			keep(g.inspectField(dir, key, value))
		})
	}
	return first
}

func (g *guard) inspectField(dir string, key, value *yaml.Node) error {
	if foldIn(key.Value, "helmCharts", "helmChartInflationGenerator") {
		return &lineError{key.Line, errors.New("helm charts are not rendered (run helm template into a file, and list that under resources:)")}
	}
	if foldIn(key.Value, "openapi") {
		g.schema = true
	}
	for name, use := range paths() {
		if !strings.EqualFold(key.Value, name) {
			continue
		}
		for _, entry := range scalars(value) {
			if err := g.inspectEntry(dir, name, entry, use); err != nil {
				return err
			}
		}
	}
	for name, fields := range nested() {
		if !strings.EqualFold(key.Value, name) {
			continue
		}
		var first error
		each(value, func(key, value *yaml.Node) {
			for below, use := range fields {
				if !strings.EqualFold(key.Value, below) {
					continue
				}
				for _, entry := range scalars(value) {
					if err := g.inspectEntry(dir, name+"."+below, entry, use); err != nil && first == nil {
						first = err
					}
				}
			}
		})
		if first != nil {
			return first
		}
	}
	return nil
}

// inspectEntry checks one name of a file or folder, which is relative to dir;
// dir is empty while unknown.
func (g *guard) inspectEntry(dir, where string, entry *yaml.Node, use usage) error {
	if entry.ShortTag() == "!!binary" {
		return &lineError{entry.Line, fmt.Errorf("%s names a path in base64 (write it as text)", where)}
	}
	name := entry.Value
	if use&(asPlugins|asYAML) != 0 {
		if docs, err := parse([]byte(name)); err == nil && len(docs) > 0 && len(docs[0].Content) > 0 && docs[0].Content[0].Kind != yaml.ScalarNode {
			for _, doc := range docs { // written in place
				if err := g.inspectPlugin(dir, doc); err != nil {
					return &lineError{entry.Line, err}
				}
			}
			return nil
		}
	}
	if use == asData {
		if _, after, ok := strings.Cut(name, "="); ok && strings.HasSuffix(strings.ToLower(where), "files") {
			name = after
		}
	}
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(dir, name)
	}
	info, err := os.Stat(path)
	if remote(name) && (err != nil || info.IsDir() || scheme().MatchString(name)) {
		return &lineError{entry.Line, fmt.Errorf("%s is remote (%s names it; nothing is fetched while rendering: copy it into the repository)", name, where)}
	}
	if name == "" || dir == "" {
		return nil
	}
	if err != nil {
		return &lineError{entry.Line, fmt.Errorf("there is no %s (%s names it)", filepath.ToSlash(name), where)}
	}
	path = unlinked(path)
	if use == asResource && g.use[dir]&asPlugins != 0 {
		use |= asPlugins
	}
	g.use[path] |= use
	if info.IsDir() {
		return g.plainKustomization(path)
	}
	return nil
}

// inspectPlugin checks the configuration of a transformer or generator of
// kustomize's own, which names files as well. Other documents pass.
func (g *guard) inspectPlugin(dir string, doc *yaml.Node) error {
	if strings.TrimLeft(text(doc, "apiVersion"), "/") != "builtin" {
		return nil
	}
	if k := field(doc, "kind"); k != nil && k.Value == "HelmChartInflationGenerator" {
		return &lineError{k.Line, errors.New("helm charts are not rendered (run helm template into a file, and list that under resources:)")}
	}
	uses := map[string]usage{"path": asYAML, "paths": asYAML, "files": asData, "envs": asData, "env": asData}
	var first error
	var check func(n *yaml.Node, deep bool)
	check = func(n *yaml.Node, deep bool) {
		each(n, func(key, value *yaml.Node) {
			if deep && foldIn(key.Value, "replacements") {
				check(value, false)
			}
			for name, use := range uses {
				if !strings.EqualFold(key.Value, name) {
					continue
				}
				for _, entry := range scalars(value) {
					if err := g.inspectEntry(dir, name, entry, use); err != nil && first == nil {
						first = err
					}
				}
			}
		})
	}
	check(doc, true)
	return first
}

var (
	scheme = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^(git::)*((https?|ssh|file|git):|github\.com[/:])`)
	})
	user = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?i:git::)*[a-zA-Z][a-zA-Z0-9-]*@.*[/:]`) })
)

// remote reports whether kustomize could take name for something to fetch or
// to clone. It says yes more often than kustomize does.
func remote(name string) bool {
	return scheme().MatchString(name) || user().MatchString(name)
}

func foldIn(s string, names ...string) bool {
	for _, name := range names {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}
