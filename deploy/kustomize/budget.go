package kustomize

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits of what aliases may expand to. A node counts its text and a flat
// amount, which is about what it takes in memory at the least.
const (
	maxExpansion = 4 << 20 // per file
	nodeCost     = 32
	maxInline    = 3 // YAML in a string in YAML in a string …
)

// expansion sums up what the aliases of nodes would add if each were replaced
// by a copy of what it stands for, without replacing any.
type expansion struct {
	sizes map[*yaml.Node]int64
	open  map[*yaml.Node]bool // to find an anchor that contains itself
	added int64
	worst *yaml.Node // the alias at which the limit was passed
}

// overspent reports whether the aliases below root expand to too much, and at which line.
func overspent(root *yaml.Node, limit int64) error {
	e := &expansion{sizes: map[*yaml.Node]int64{}, open: map[*yaml.Node]bool{}}
	e.size(root)
	e.walk(root, limit)
	if e.worst != nil {
		return &lineError{e.worst.Line, fmt.Errorf("aliases expand to more than %d MiB (at *%s; write it out, or split the file)", maxExpansion>>20, e.worst.Value)}
	}
	return nil
}

// size returns the cost of a node with all aliases below it expanded; it
// saturates far below an overflow.
func (e *expansion) size(n *yaml.Node) int64 {
	if known, ok := e.sizes[n]; ok {
		return known
	}
	const enough = int64(1) << 50
	if n.Kind == yaml.AliasNode {
		if n.Alias == nil || e.open[n.Alias] {
			return enough
		}
		return e.size(n.Alias)
	}
	e.open[n] = true
	total := int64(nodeCost + len(n.Value))
	for _, child := range n.Content {
		total = min(enough, total+e.size(child))
	}
	delete(e.open, n)
	e.sizes[n] = total
	return total
}

// walk adds up the aliases in the order of the file until the limit is passed.
// Each is counted once here: what aliases inside of it add is in its size.
func (e *expansion) walk(n *yaml.Node, limit int64) {
	if e.worst != nil {
		return
	}
	if n.Kind == yaml.AliasNode {
		if e.added += e.size(n); e.added > limit {
			e.worst = n
		}
		return
	}
	for _, child := range n.Content {
		e.walk(child, limit)
	}
}

// inlineOverspent does the same for strings that hold YAML themselves, such as patches.
func inlineOverspent(n *yaml.Node, depth int) error {
	if n.Kind == yaml.ScalarNode && depth < maxInline && strings.ContainsRune(n.Value, '&') && strings.ContainsRune(n.Value, '*') {
		docs, _ := parse([]byte(n.Value)) // what is no YAML is expanded by nobody
		for _, doc := range docs {
			if err := overspent(doc, maxExpansion); err != nil {
				return &lineError{n.Line, err}
			}
			if err := inlineOverspent(doc, depth+1); err != nil {
				return &lineError{n.Line, err}
			}
		}
	}
	for _, child := range n.Content {
		if err := inlineOverspent(child, depth); err != nil {
			return err
		}
	}
	return nil
}
