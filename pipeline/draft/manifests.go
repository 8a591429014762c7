package draft

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// A kustomization is what we read of one.
type kustomization struct {
	Kind       string   `yaml:"kind"`
	Namespace  string   `yaml:"namespace"`
	Resources  []string `yaml:"resources"`
	Bases      []string `yaml:"bases"`
	Components []string `yaml:"components"`
	Images     []struct {
		Name    string `yaml:"name"`
		NewName string `yaml:"newName"`
	} `yaml:"images"`
}

// deploys finds the kustomizations that no other is made of. Several in one
// folder are one for each environment.
func (l *look) deploys() {
	read := map[string]kustomization{}
	part := map[string]bool{} // of another
	for _, dir := range l.overlays {
		for _, base := range kustomizations {
			var k kustomization
			if file := path.Join(dir, base); l.exists(file) && l.decode(file, &k) {
				read[dir] = k
				for _, r := range slices.Concat(k.Resources, k.Bases, k.Components) {
					part[path.Join(dir, r)] = true
				}
				break
			}
		}
	}
	beside := map[string][]string{} // by the folder that holds them
	var parents []string
	for _, dir := range l.overlays {
		k, ok := read[dir]
		if !ok || part[dir] || k.Kind == "Component" {
			continue
		}
		parent := path.Dir(dir)
		if beside[parent] == nil {
			parents = append(parents, parent)
		}
		beside[parent] = append(beside[parent], dir)
	}
	for _, parent := range parents {
		dirs := beside[parent]
		if !environments(parent, dirs) {
			for _, dir := range dirs {
				l.deploy(Deploy{Dir: dir, Images: images(l, read, dir, map[string]bool{})})
			}
			continue
		}
		slices.SortStableFunc(dirs, func(a, b string) int { return late(a) - late(b) })
		d := Deploy{Dir: parent}
		for _, dir := range dirs {
			d.Environments = append(d.Environments, Environment{path.Base(dir), read[dir].Namespace})
			d.Images = append(d.Images, images(l, read, dir, map[string]bool{})...)
		}
		l.deploy(d)
	}
}

var (
	holders = []string{"overlays", "environments", "envs", "env", "clusters"}
	usual   = []string{"local", "dev", "development", "test", "testing", "qa", "uat", "preview", "stage", "staging", "preprod", "prod", "production"}
	general = []string{"k8s", "kubernetes", "kustomize", "deploy", "manifests", "overlays", "base"}
)

// environments reports whether dirs, which lie in parent, are the same thing
// for different places, and not different things.
func environments(parent string, dirs []string) bool {
	if parent == "." || len(dirs) < 2 {
		return false
	}
	all := slices.Contains(holders, path.Base(parent))
	for _, dir := range dirs {
		name := path.Base(dir)
		if ident(name) != name || !all && !slices.Contains(usual, name) {
			return false
		}
	}
	return true
}

// late puts production last: the first environment is the one to try.
func late(dir string) int {
	if strings.HasPrefix(path.Base(dir), "prod") {
		return 1
	}
	return 0
}

// deploy adds d with an id of its own: the folder's, unless it says nothing.
func (l *look) deploy(d Deploy) {
	slices.Sort(d.Images)
	d.Images = slices.Compact(d.Images)
	d.ID = "rollout"
	if len(l.draft.Deploys) > 0 {
		parts := slices.DeleteFunc(strings.Split(d.Dir, "/"), func(p string) bool { return slices.Contains(general, p) })
		if len(parts) > 0 {
			d.ID += "-" + parts[len(parts)-1]
		}
	}
	d.ID = l.free(d.ID)
	l.draft.Deploys = append(l.draft.Deploys, d)
}

// images returns the repositories that containers of the kustomization in dir
// name when it is rendered.
func images(l *look, read map[string]kustomization, dir string, seen map[string]bool) []string {
	k, ok := read[dir]
	if !ok || seen[dir] {
		return nil
	}
	seen[dir] = true
	var names []string
	for _, r := range slices.Concat(k.Resources, k.Bases, k.Components) {
		at := path.Join(dir, r)
		if _, ok := read[at]; ok {
			names = append(names, images(l, read, at, seen)...)
			continue
		}
		text, err := l.read(at)
		if err != nil {
			continue // kustomize will say so
		}
		for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var doc yaml.Node
			if dec.Decode(&doc) != nil {
				break
			}
			names = append(names, containers(&doc)...)
		}
	}
	for i, name := range names {
		for _, im := range k.Images {
			if im.Name == name && im.NewName != "" {
				names[i] = im.NewName
			}
		}
	}
	return names
}

// containers returns the repositories of images of containers below n.
func containers(n *yaml.Node) []string {
	var names []string
	for i, c := range n.Content {
		names = append(names, containers(c)...)
		if n.Kind != yaml.MappingNode || i%2 == 1 || c.Value != "containers" && c.Value != "initContainers" {
			continue
		}
		for _, container := range n.Content[i+1].Content {
			for j := 0; j+1 < len(container.Content); j += 2 {
				if container.Content[j].Value == "image" {
					names = append(names, repository(container.Content[j+1].Value))
				}
			}
		}
	}
	return names
}
