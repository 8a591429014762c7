package kustomize

import (
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/deploy"
)

// unknownField finds the name of a field that a kustomization should not have.
var unknownField = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`invalid Kustomization: json: unknown field "([^"]*)"`)
})

// trimmed returns the innermost cause of an error of kustomize, which repeats
// it at every level on the way out.
func trimmed(err error, g *guard, dir string) error {
	located := &deploy.FileError{File: filepath.ToSlash(dir)}
	words := err.Error()
	if m := unknownField().FindStringSubmatch(words); m != nil && g.last != nil {
		located.File, located.Line = g.last.name, lineOf(g.last, m[1])
		located.Err = &cause{"kustomizations have no field " + m[1], err}
		return located
	}
	for _, mark := range []string{"accumulating resources from ", "recursed accumulation of path ", "accumulating resources: ", "accumulating components: ", "accumulateDirectory: "} {
		if i := strings.LastIndex(words, mark); i >= 0 {
			words = words[i+len(mark):]
		}
	}
	words = strings.NewReplacer(g.root+string(filepath.Separator), "", g.root, ".", "\n", " ", `\"`, `"`, `\n`, " ").Replace(words)
	words = strings.Join(strings.Fields(words), " ")
	for _, quote := range []string{`"`, `'`} { // of which the beginning was cut off
		if strings.HasSuffix(words, quote) && strings.Count(words, quote)%2 == 1 {
			words = strings.TrimSuffix(words, quote)
		}
	}
	located.Err = &cause{words, err}
	return located
}

// lineOf returns the line of a field of a kustomization, or zero.
func lineOf(f *file, name string) (line int) {
	for _, doc := range f.docs {
		each(doc, func(key, _ *yaml.Node) {
			if line == 0 && key.Value == name {
				line = key.Line
			}
		})
	}
	return line
}

// cause is an error of kustomize in fewer words.
type cause struct {
	words string
	err   error
}

func (c *cause) Error() string { return c.words }
func (c *cause) Unwrap() error { return c.err }
