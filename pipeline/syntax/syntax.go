package syntax

import (
	"errors"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Parser reads pipeline files.
type Parser struct {
	Kinds    []pipeline.Kind   // what stages can be
	Compiler pipeline.Compiler // makes expressions

	// Read returns the text of a file that is included; its name is relative as
	// that of the file which includes it. It decides which files may be. Nil
	// means none.
	Read func(name string) ([]byte, error)
}

// Version is the version of the format, as the key slipway: has it.
const Version = "v1"

// file is the whole of a pipeline file. Stages, vars and environments keep
// their order, so they are decoded by hand.
type file struct {
	Slipway      string                    `yaml:"slipway,required" doc:"The version of the format."`
	Name         string                    `yaml:"name,required" doc:"Name of the pipeline: up to 40 lower-case letters, digits and dashes."`
	Vars         yaml.Node                 `yaml:"vars" doc:"What may be set from outside, by name. The last of these that sets one wins: its default, the environment's vars, its environment variable, --var-file, --var."`
	Environments yaml.Node                 `yaml:"environments" doc:"Where a run may go, by name: slipway run -e NAME."`
	Include      []string                  `yaml:"include" doc:"Files with further vars, environments, defaults, stages and outputs, by paths from the folder of this one."`
	Defaults     yaml.Node                 `yaml:"defaults" doc:"What stages have without saying so, by kind; stage is for what stands beside the kind. Mappings are merged, lists replaced, null takes a default away."`
	Stages       yaml.Node                 `yaml:"stages,required" doc:"What is done, by id. Stages that don't need each other run at the same time."`
	Registries   yaml.Node                 `yaml:"registries" doc:"How registries are spoken to, by host, where it is not as with all others."`
	Release      release                   `yaml:"release" doc:"Where the record of a green run goes, beside .slipway/runs: other machines promote it from there."`
	Outputs      map[string]pipeline.Value `yaml:"outputs,any" doc:"What a run gives to whoever started it, by name."`
}

// release is where releases go.
type release struct {
	Repository pipeline.Value `yaml:"repository,required,short" doc:"A repository for releases alone, such as ghcr.io/acme/shop/releases. It gets the tag COMMIT-ENVIRONMENT."`
}

var (
	pipelineName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`) })
	idName       = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9_]{0,62}$`) })
)

// Parse reads the file called name, whose text is given. It returns a
// [pipeline.ErrorList] with every mistake that it finds.
func (p *Parser) Parse(name string, text []byte) (*pipeline.Pipeline, error) {
	tree, failed := grow(name, text)
	if failed != nil {
		return nil, pipeline.ErrorList{failed}
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	r := &reader{Parser: p, decoder: &decoder{tree: tree, compiler: p.Compiler, fields: map[string]pipeline.Pos{}}}
	r.out = &pipeline.Pipeline{Pos: tree.pos(tree.main.root), Dir: dir}
	r.read()
	p.allow(r.errs)
	if err := once(r.errs).Err(); err != nil {
		return nil, err
	}
	return r.out, nil
}

// once returns list without errors that are there already: what is wrong in
// defaults is wrong in every stage that has them, though it may lead elsewhere.
func once(list pipeline.ErrorList) pipeline.ErrorList {
	type place struct {
		pos  pipeline.Pos
		text string
	}
	seen := map[place]bool{}
	return slices.DeleteFunc(list, func(e *pipeline.Error) bool {
		text, _, _ := strings.Cut(e.Err.Error(), " → ")
		at := place{e.Pos, text}
		again := seen[at]
		seen[at] = true
		return again
	})
}

// A reader makes a Pipeline of one file.
type reader struct {
	*Parser
	*decoder
	out    *pipeline.Pipeline
	preset map[string]*yaml.Node      // defaults by kind
	bodies map[pipeline.ID]*yaml.Node // of stages, with their defaults
}

func (r *reader) read() {
	in := including{reader: r, found: sections{}, done: map[string]bool{}}
	in.gather(r.main)
	if r.main.root.Kind != yaml.MappingNode {
		return
	}
	parts := in.found
	for _, key := range []string{"slipway", "name", "stages"} {
		if parts[key] == nil && child(r.main.root, key) == nil {
			r.fail(r.main.root, "missing-key", "file needs %s:", key)
		}
	}
	// Names first: an expression anywhere may mention any var and any stage.
	var f file
	if n := parts["name"]; n != nil {
		if r.out.Name = n.Value; n.Tag == "!!null" || !pipelineName().MatchString(n.Value) {
			r.fail(n, "bad-name", "%q cannot name a pipeline (want up to 40 lower-case letters, digits and dashes)", n.Value)
		}
	}
	r.vars(parts["vars"])
	r.names = pipeline.Names{
		Vars: map[string]pipeline.Type{}, Stages: map[pipeline.ID]map[string]pipeline.Type{},
		Matrix: map[pipeline.ID]map[string]pipeline.Type{}, Cells: map[pipeline.ID][]string{},
	}
	for _, v := range r.out.Vars {
		r.names.Vars[v.Name] = v.Type
	}
	r.defaults(parts["defaults"])
	nodes := r.stages(parts["stages"])
	r.environments(parts["environments"])
	r.registries(parts["registries"])
	for i := range nodes {
		r.stage(&r.out.Stages[i], nodes[i])
	}
	if n := parts["release"]; n != nil {
		r.release(n, &f)
	}
	if n := parts["outputs"]; n != nil {
		r.decode(n, reflect.ValueOf(&f).Elem().FieldByName("Outputs"), "outputs", hint{key: "outputs", any: true})
		for _, k := range pipeline.Keys(f.Outputs) {
			r.out.Outputs = append(r.out.Outputs, pipeline.Output{Name: k, Value: f.Outputs[k]})
		}
	}
	if len(r.errs) == 0 {
		r.cycles()
	}
}

// release reads where releases go, which no stage may decide.
func (r *reader) release(n *yaml.Node, f *file) {
	r.decode(n, reflect.ValueOf(f).Elem().FieldByName("Release"), "release", hint{key: "release"})
	r.out.Release = f.Release.Repository
	if len(r.out.Release.Refs()) > 0 {
		r.errs.Add(r.out.Release.Pos, "", "not-known-yet", errors.New("repository of release must be known before any stage is planned (use vars or environment)"))
	}
}

// child returns the value of a key of the mapping n, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// kind returns the first key of a stage that names a kind.
func (r *reader) kind(n *yaml.Node) (pipeline.Kind, *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			for _, k := range r.Kinds {
				if k.Name == n.Content[i].Value {
					return k, n.Content[i+1]
				}
			}
		}
	}
	return pipeline.Kind{}, nil
}

func (r *reader) kindNames() []string {
	names := make([]string, len(r.Kinds))
	for i, k := range r.Kinds {
		names[i] = k.Name
	}
	return names
}

// cycles reports a cycle, as a path.
func (r *reader) cycles() {
	if _, err := pipeline.Order(r.out.Stages); err != nil {
		r.errs.Add(r.out.Pos, "", "cycle", err)
	}
}

func empty(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return "empty"
	}
	return what(n)
}
