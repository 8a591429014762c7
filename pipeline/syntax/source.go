package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

const (
	maxBytes = 4 << 20 // of a pipeline file
	maxNodes = 400_000 // of a pipeline's files, with their aliases written out
)

// A source is the text of a file and the tree that YAML makes of it.
type source struct {
	name  string
	lines []string
	root  *yaml.Node
}

// read parses the bytes of a file. Left is how many nodes there may be, and is
// less by those of the file afterwards. The error has a position.
func read(name string, text []byte, left *int) (*source, *pipeline.Error) {
	fail := func(line, col int, code, format string, args ...any) *pipeline.Error {
		return &pipeline.Error{Pos: pipeline.Pos{File: name, Line: line, Col: col}, Code: code, Err: fmt.Errorf(format, args...)}
	}
	if len(text) > maxBytes {
		return nil, fail(0, 0, "too-large", "file has %d bytes (want at most %d)", len(text), maxBytes)
	}
	if i := invalid(text); i >= 0 {
		line := 1 + bytes.Count(text[:i], []byte("\n"))
		col := 1 + utf8.RuneCount(text[bytes.LastIndexByte(text[:i], '\n')+1:i])
		return nil, fail(line, col, "not-utf8", "byte 0x%02x is no text (save the file as UTF-8)", text[i])
	}
	if n := nodes(text); n > maxNodes {
		return nil, fail(0, 0, "too-large", "file has about %d values (want at most %d)", n, maxNodes)
	}
	s := &source{name: name, lines: strings.Split(string(text), "\n"), root: new(yaml.Node)}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	switch err := dec.Decode(s.root); {
	case errors.Is(err, io.EOF):
		return nil, fail(1, 1, "empty", "file is empty (want slipway: v1, name: and stages:)")
	case err != nil:
		return nil, s.fault(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return nil, fail(second.Line, second.Column, "many-documents", "a second YAML document begins here (want one; remove the line ---)")
	} else if !errors.Is(err, io.EOF) {
		return nil, s.fault(err)
	}
	s.root = s.root.Content[0]
	if n, err := bomb(s.root, left, map[*yaml.Node]bool{}); n != nil {
		return nil, fail(n.Line, n.Column, "alias-bomb", "%w", err)
	}
	if n := merge(s.root, map[*yaml.Node]bool{}); n != nil {
		return nil, fail(n.Line, n.Column, "wrong-type", "<<: merges %s (want a mapping)", what(n))
	}
	return s, nil
}

// invalid returns where the first byte stands that may not stand in a text, or -1.
func invalid(text []byte) int {
	for i := 0; i < len(text); {
		if text[i] == 0 {
			return i
		}
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// nodes returns how many nodes the YAML in text can have at most: each follows
// one of these signs, or begins the file. It is known before any is made.
func nodes(text []byte) int {
	n := 1
	for _, b := range text {
		switch b {
		case '\n', ',', ':', '-', '?', '[', '{':
			n++
		}
	}
	return n
}

// bomb counts the nodes below n with aliases written out. It returns the node at
// which left ran out, or an alias of what it stands in.
func bomb(n *yaml.Node, left *int, around map[*yaml.Node]bool) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return n, fmt.Errorf("aliases expand to more than %d values, over all files (write fewer aliases of aliases)", maxNodes)
	}
	if n.Kind == yaml.AliasNode {
		if around[n.Alias] {
			return n, fmt.Errorf("*%s stands for what it stands in (name another anchor)", n.Value)
		}
		if found, err := bomb(n.Alias, left, around); found != nil {
			return n, err
		}
		return nil, nil
	}
	around[n] = true
	defer delete(around, n)
	for _, c := range n.Content {
		if found, err := bomb(c, left, around); found != nil {
			return found, err
		}
	}
	return nil, nil
}

// merge writes out the merge keys below n; see https://yaml.org/type/merge.html.
// Keys that stand beside one win. It returns what cannot be merged.
func merge(n *yaml.Node, done map[*yaml.Node]bool) *yaml.Node {
	n = resolve(n)
	if done[n] {
		return nil
	}
	done[n] = true
	for _, c := range n.Content {
		if bad := merge(c, done); bad != nil {
			return bad
		}
	}
	if n.Kind != yaml.MappingNode || !slices.ContainsFunc(n.Content, isMerge) {
		return nil
	}
	var own, merged []*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			own = append(own, n.Content[i], n.Content[i+1])
			seen[n.Content[i].Value] = true
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		from := []*yaml.Node{n.Content[i+1]}
		if l := resolve(n.Content[i+1]); l.Kind == yaml.SequenceNode {
			from = l.Content
		}
		for _, f := range from {
			m := resolve(f)
			if m.Kind != yaml.MappingNode {
				return f
			}
			for j := 0; j+1 < len(m.Content); j += 2 {
				if key := m.Content[j].Value; !seen[key] {
					seen[key] = true
					merged = append(merged, m.Content[j], m.Content[j+1])
				}
			}
		}
	}
	n.Content = append(own, merged...)
	return nil
}

func isMerge(n *yaml.Node) bool { return n.Tag == "!!merge" }

// pos returns where n stands.
func (s *source) pos(n *yaml.Node) pipeline.Pos {
	return pipeline.Pos{File: s.name, Line: n.Line, Col: n.Column}
}

// place returns a function that finds bytes of the scalar n in the file. Inside
// folded and escaped text it can be off by what YAML took out.
func (s *source) place(n *yaml.Node) pipeline.Place {
	return func(offset int) pipeline.Pos {
		pos := s.pos(n)
		before := n.Value[:min(offset, len(n.Value))]
		switch {
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
			pos.Col = 1 + s.indent(n) + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
			pos.Line += 1 + strings.Count(before, "\n")
		case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
			pos.Col += 1 + utf8.RuneCountInString(before)
		default:
			pos.Col += utf8.RuneCountInString(before)
		}
		return pos
	}
}

// indent returns how far the text of the block scalar n is indented.
func (s *source) indent(n *yaml.Node) int {
	for i, line := range strings.Split(n.Value, "\n") {
		if at := n.Line + i; strings.TrimSpace(line) != "" && at < len(s.lines) {
			return max(0, spaces(s.lines[at])-spaces(line))
		}
	}
	return 0
}

func spaces(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// what names the kind of a node as people call it.
func what(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	}
	return "a " + n.Tag
}
