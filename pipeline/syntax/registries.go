package syntax

import (
	"fmt"
	"reflect"
	"regexp"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// registry is an entry of registries:, which says how one is spoken to.
type registry struct {
	HTTP    bool     `yaml:"http" doc:"It is spoken to without TLS. One on this machine always may be."`
	Mirrors []string `yaml:"mirrors" doc:"Where base images of it are looked for first, one after the other: HOST[:PORT], perhaps with a path."`
	PullAs  string   `yaml:"pullAs" doc:"What nodes call it, where that is another name than ours: HOST[:PORT], perhaps with a path."`
}

var (
	registryHost = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?$`) })
	registryPull = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^([a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	})
)

// registries decodes how registries are spoken to, by host. What they are must be
// known before anything else is, so expressions have no place in them.
func (r *reader) registries(n *yaml.Node) {
	switch {
	case n == nil || n.Tag == "!!null":
		return
	case n.Kind != yaml.MappingNode:
		r.fail(n, "wrong-type", "registries is %s (want a mapping by host)", what(n))
		return
	}
	r.pairs(n, func(key, val *yaml.Node) {
		if !registryHost().MatchString(key.Value) {
			r.fail(key, "bad-name", "%q is no host of a registry (want HOST or HOST:PORT, such as localhost:5000)", key.Value)
			return
		}
		var one registry
		val = resolve(val)
		d := &decoder{tree: r.tree, compiler: plain{}, fields: map[string]pipeline.Pos{}}
		d.decode(val, reflect.ValueOf(&one).Elem(), "", hint{key: "registries"})
		r.errs = append(r.errs, d.errs...)
		if one.PullAs != "" && !registryPull().MatchString(one.PullAs) {
			r.errs.Add(d.fields["pullAs"], "", "bad-name", fmt.Errorf("%q is no name of a registry (want HOST or HOST:PORT, perhaps with a path)", one.PullAs))
		}
		for i, mirror := range one.Mirrors {
			if !registryPull().MatchString(mirror) {
				r.errs.Add(d.fields[fmt.Sprintf("mirrors[%d]", i)], "", "bad-name", fmt.Errorf("%q is no name of a registry (want HOST or HOST:PORT, perhaps with a path)", mirror))
			}
		}
		r.out.Registries = append(r.out.Registries, pipeline.Registry{Host: key.Value, HTTP: one.HTTP, Mirrors: one.Mirrors, PullAs: one.PullAs})
	})
}
