package kustomize

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// A lineError is an error at a line of a file.
type lineError struct {
	line int
	err  error
}

// Error returns the innermost message: outer lines, of strings that hold YAML, are dropped.
func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// yamlLine finds the line in an error of yaml.v3.
var yamlLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^yaml: (?:unmarshal errors:\n  )?line (\d+): (?s:(.*))$`)
})

// parse returns the documents of a file, up to the first that is no YAML.
// Aliases are not expanded.
func parse(text []byte) ([]*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			line := 0
			words := strings.TrimPrefix(err.Error(), "yaml: ")
			if m := yamlLine().FindStringSubmatch(err.Error()); m != nil {
				line, _ = strconv.Atoi(m[1])
				words = m[2]
			}
			return docs, &lineError{line, errors.New("not valid YAML: " + words)}
		}
		docs = append(docs, &doc)
	}
}

// each calls f for every key and value of a mapping, and of what is merged
// into it by "<<". Keys of kustomizations are compared without regard to case,
// as kustomize does.
func each(n *yaml.Node, f func(key, value *yaml.Node)) {
	eachTo(n, f, map[*yaml.Node]bool{})
}

func eachTo(n *yaml.Node, f func(key, value *yaml.Node), seen map[*yaml.Node]bool) {
	n = resolve(n)
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	switch n.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		for _, child := range n.Content {
			eachTo(child, f, seen)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := resolve(n.Content[i]), n.Content[i+1]
			if key.Value == "<<" {
				eachTo(value, f, seen)
				continue
			}
			f(key, resolve(value))
		}
	}
	delete(seen, n)
}

// resolve returns what an alias stands for, or n.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// field returns the value of a key of a mapping, or nil.
func field(n *yaml.Node, name string) *yaml.Node {
	n = resolve(n)
	if n == nil || n.Kind == yaml.SequenceNode {
		return nil
	}
	var found *yaml.Node
	each(n, func(key, value *yaml.Node) {
		if strings.EqualFold(key.Value, name) {
			found = value
		}
	})
	return found
}

// text returns the value of a key of a mapping if it is a scalar.
func text(n *yaml.Node, name string) string {
	if v := field(n, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// scalars returns the scalars directly below a value: itself, or its items.
func scalars(n *yaml.Node) []*yaml.Node {
	n = resolve(n)
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.ScalarNode:
		return []*yaml.Node{n}
	case n.Kind == yaml.SequenceNode:
		var found []*yaml.Node
		for _, item := range n.Content {
			if item = resolve(item); item.Kind == yaml.ScalarNode {
				found = append(found, item)
			}
		}
		return found
	}
	return nil
}
