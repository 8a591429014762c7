package syntax

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// maxFiles is how many files a pipeline can be made of.
const maxFiles = 100

// A tree is the file of a pipeline, and those that it includes.
type tree struct {
	main *source
	left int                    // how many nodes there may still be
	of   map[*yaml.Node]*source // the files of nodes that are not of the main one
}

// grow returns the tree of one file.
func grow(name string, text []byte) (*tree, *pipeline.Error) {
	t := &tree{left: maxNodes, of: map[*yaml.Node]*source{}}
	var failed *pipeline.Error
	t.main, failed = read(name, text, &t.left)
	return t, failed
}

// source returns the file that n is of.
func (t *tree) source(n *yaml.Node) *source {
	if s, ok := t.of[n]; ok {
		return s
	}
	return t.main
}

// pos returns where n stands.
func (t *tree) pos(n *yaml.Node) pipeline.Pos { return t.source(n).pos(n) }

// place returns a function that finds bytes of the scalar n in its file.
func (t *tree) place(n *yaml.Node) pipeline.Place { return t.source(n).place(n) }

// like puts the made nodes where n stands.
func (t *tree) like(n *yaml.Node, made ...*yaml.Node) {
	for _, m := range made {
		m.Line, m.Column = n.Line, n.Column
		if s, ok := t.of[n]; ok {
			t.of[m] = s
		}
	}
}

// add notes that n and all below it are of s.
func (t *tree) add(n *yaml.Node, s *source) {
	if t.of[n] != nil {
		return
	}
	t.of[n] = s
	for _, c := range n.Content {
		t.add(c, s)
	}
	if n.Alias != nil {
		t.add(n.Alias, s)
	}
}

// sections are the top-level entries of all files: one mapping for each key.
type sections map[string]*yaml.Node

// An including is the files that are being read.
type including struct {
	reader *reader
	found  sections
	done   map[string]bool // by the path of the file
	path   []string        // from the main file to this one
}

// gather reads the top level of s, and before it what it includes.
func (in *including) gather(s *source) {
	r := in.reader
	if s.root.Kind != yaml.MappingNode {
		r.fail(s.root, "wrong-type", "file is %s (want a mapping with slipway:, name: and stages:)", what(s.root))
		return
	}
	in.path = append(in.path, s.name)
	defer func() { in.path = in.path[:len(in.path)-1]; in.done[s.name] = true }()
	known := keysOf(reflect.TypeFor[file]())
	r.mend(s.root, "", known, func(name string) bool { return name != "name" || s == r.main })
	if n := child(s.root, "include"); n != nil {
		in.include(s, resolve(n))
	}
	r.pairs(s.root, func(key, val *yaml.Node) {
		switch val = resolve(val); {
		case !slices.Contains(known, key.Value) || key.Value == "include":
		case (key.Value == "name" || key.Value == "release") && s != r.main:
			r.fail(key, "not-included", "%s belongs to the file that includes this one (remove it)", key.Value)
		case key.Value == "slipway":
			if val.Value != Version {
				r.fail(val, "wrong-version", "slipway is %q (want %s)", val.Value, Version)
			}
		default:
			in.join(key.Value, val)
		}
	})
}

// join adds the entries of a section to those of other files.
func (in *including) join(key string, val *yaml.Node) {
	have := in.found[key]
	switch {
	case have == nil:
		in.found[key] = val
	case val.Kind != yaml.MappingNode && val.Tag != "!!null":
		in.reader.fail(val, "wrong-type", "%s is %s (want a mapping)", key, what(val))
	case have.Kind == yaml.MappingNode:
		all := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: slices.Concat(have.Content, val.Content)}
		in.reader.like(val, all)
		in.found[key] = all
	case have.Tag == "!!null":
		in.found[key] = val
	default:
		in.reader.fail(have, "wrong-type", "%s is %s (want a mapping)", key, what(have))
		in.found[key] = val
	}
}

// include reads the files that s names.
func (in *including) include(s *source, n *yaml.Node) {
	r := in.reader
	d := &decoder{tree: r.tree, compiler: plain{}, fields: map[string]pipeline.Pos{}}
	var paths []string
	d.decode(n, reflect.ValueOf(&paths).Elem(), "", hint{key: "include"})
	r.errs = append(r.errs, d.errs...)
	for i, p := range paths {
		at := d.fields[fmt.Sprintf("[%d]", i)]
		if p == "" {
			continue // has been reported
		}
		if err := in.file(s, p); err != nil {
			r.errs.Add(at, "", "bad-include", err)
		}
	}
}

// file reads one file that s includes.
func (in *including) file(s *source, path string) error {
	r := in.reader
	if filepath.IsAbs(path) || strings.HasPrefix(path, "/") {
		return fmt.Errorf("%s is an absolute path (want one from the folder of this file)", path)
	}
	name := filepath.Join(filepath.Dir(s.name), filepath.FromSlash(path))
	if i := slices.Index(in.path, name); i >= 0 {
		return fmt.Errorf("files include each other in a circle: %s (remove one of these)", strings.Join(append(slices.Clone(in.path[i:]), name), " → "))
	}
	switch {
	case in.done[name]:
		return nil
	case len(in.done)+len(in.path) >= maxFiles:
		return fmt.Errorf("a pipeline is made of at most %d files", maxFiles)
	case r.Read == nil:
		return errors.New("no file can be included here")
	}
	text, err := r.Read(name)
	if err != nil {
		return fmt.Errorf("cannot include %s: %w", path, err)
	}
	included, failed := read(name, text, &r.left)
	if failed != nil {
		if failed.Code == "empty" {
			return nil
		}
		r.errs = append(r.errs, failed)
		in.done[name] = true
		return nil
	}
	r.add(included.root, included)
	in.gather(included)
	return nil
}
