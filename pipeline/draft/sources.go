package draft

import (
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// compose reads the services of a compose file that are built.
func (l *look) compose() {
	type build struct {
		Context    string    `yaml:"context"`
		Dockerfile string    `yaml:"dockerfile"`
		Target     string    `yaml:"target"`
		Args       yaml.Node `yaml:"args"`
	}
	for _, file := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
		if !l.exists(file) {
			continue
		}
		var doc struct {
			Services map[string]struct {
				Image string    `yaml:"image"`
				Build yaml.Node `yaml:"build"`
			} `yaml:"services"`
		}
		if !l.decode(file, &doc) {
			return
		}
		for _, name := range pipeline.Keys(doc.Services) {
			s := doc.Services[name]
			var b build
			switch s.Build.Kind {
			case 0:
				continue // an image from elsewhere
			case yaml.ScalarNode:
				b.Context = s.Build.Value
			default:
				if err := s.Build.Decode(&b); err != nil {
					l.note("%s: service %s: %s", file, name, strings.Join(strings.Fields(err.Error()), " "))
					continue
				}
			}
			l.named(Build{ID: name, From: file + ", service " + name, Context: b.Context, Dockerfile: b.Dockerfile, Target: b.Target, Args: l.args(file, name, b.Args), Image: repository(s.Image)})
		}
		return // compose takes the first of these, too
	}
}

// skaffold reads the artifacts of a skaffold file that have a Dockerfile.
func (l *look) skaffold() {
	const file = "skaffold.yaml"
	if !l.exists(file) {
		return
	}
	var doc struct {
		Build struct {
			Artifacts []struct {
				Image   string         `yaml:"image"`
				Context string         `yaml:"context"`
				Docker  *skaffoldBuild `yaml:"docker"`
				Kaniko  *skaffoldBuild `yaml:"kaniko"`
				Rest    map[string]any `yaml:",inline"`
			} `yaml:"artifacts"`
		} `yaml:"build"`
	}
	if !l.decode(file, &doc) {
		return
	}
	for _, a := range doc.Build.Artifacts {
		how := a.Docker
		if how == nil {
			how = a.Kaniko
		}
		if how == nil {
			how = new(skaffoldBuild)
			for _, other := range []string{"buildpacks", "jib", "ko", "bazel", "custom"} {
				if _, ok := a.Rest[other]; ok {
					how = nil
					l.note("%s: artifact %s is built with %s, not with a Dockerfile", file, a.Image, other)
					break
				}
			}
			if how == nil {
				continue
			}
		}
		l.named(Build{
			ID: path.Base(repository(a.Image)), From: file + ", artifact " + a.Image, Context: a.Context,
			Dockerfile: how.Dockerfile, Target: how.Target, Args: l.args(file, a.Image, how.Args), Image: repository(a.Image),
		})
	}
}

type skaffoldBuild struct {
	Dockerfile string    `yaml:"dockerfile"`
	Target     string    `yaml:"target"`
	Args       yaml.Node `yaml:"buildArgs"`
}

// decode reads the first document of a YAML file. What is wrong becomes a note.
func (l *look) decode(file string, into any) bool {
	text, err := l.read(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		l.note("%s: %s", file, strings.Join(strings.Fields(err.Error()), " "))
	}
	return err == nil
}

// named adds a build that a file of another tool names, if its words mean here
// what they mean there.
func (l *look) named(b Build) {
	for _, word := range []string{b.Context, b.Dockerfile, b.Target} {
		if strings.Contains(word, "$") {
			l.note("%s: left out, for %s is only known to that tool", b.From, word)
			return
		}
	}
	if strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") {
		l.note("%s: left out, for its context %s is not in this folder", b.From, b.Context)
		return
	}
	b.Context = path.Clean(b.Context)
	if b.Dockerfile != "" {
		b.Dockerfile = path.Clean(b.Dockerfile)
	}
	file := path.Join(b.Context, b.file())
	if path.IsAbs(b.Context) || path.IsAbs(b.Dockerfile) || strings.HasPrefix(b.Context+"/", "../") || strings.HasPrefix(b.Dockerfile, "../") {
		l.note("%s: left out, for %s is not below this folder", b.From, file)
		return
	}
	if strings.ContainsAny(file, "*?[\\") || !l.exists(file) {
		l.note("%s: left out, for there is no %s", b.From, file)
		return
	}
	if strings.Contains(b.Image, "$") {
		b.Image = ""
	}
	l.add(b)
}

// args returns build arguments, which are a mapping or a list of NAME=VALUE.
func (l *look) args(file, name string, n yaml.Node) []Arg {
	var words map[string]string
	var list []string
	switch n.Kind {
	case yaml.MappingNode:
		if n.Decode(&words) != nil {
			l.note("%s: args of %s were left out", file, name)
		}
	case yaml.SequenceNode:
		if n.Decode(&list) != nil {
			l.note("%s: args of %s were left out", file, name)
		}
	}
	for _, w := range list {
		if key, value, ok := strings.Cut(w, "="); ok {
			if words == nil {
				words = map[string]string{}
			}
			words[key] = value
		}
	}
	var args []Arg
	for _, key := range pipeline.Keys(words) {
		if value := words[key]; strings.Contains(value, "$") || strings.Contains(value, "{{") {
			l.note("%s: arg %s of %s was left out, for %s is only known to that tool", file, key, name, value)
			continue
		}
		args = append(args, Arg{key, words[key]})
	}
	return args
}
