package syntax

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Binding is an environment of a pipeline file, and the cluster that it is
// bound to. It is found even if the rest of the file has mistakes: that a
// protected environment is not bound is one.
type Binding struct {
	Context    string // of the kubeconfig; that of the environment it extends, if it has none
	ClusterUID string // empty if it is not bound by itself
	text       []byte
	name       string // of the environment
	*source
	key, value *yaml.Node
}

// ReadBinding finds the environment called name in the text of a pipeline file.
func ReadBinding(file string, text []byte, name string) (*Binding, error) {
	left := maxNodes
	src, failed := read(file, text, &left) // for its mistakes: it writes merge keys out
	if failed != nil {
		return nil, pipeline.ErrorList{failed}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	_, all := entry(doc.Content[0], "environments")
	var names []string
	if all != nil {
		for i := 0; i+1 < len(all.Content); i += 2 {
			names = append(names, all.Content[i].Value)
		}
	}
	b := &Binding{text: text, name: name, source: src}
	if b.key, b.value = entry(all, name); b.key == nil {
		return nil, fmt.Errorf("no environment is called %q%s (%s has %s)", name, pipeline.Nearest(name, names), file, orNone(names))
	}
	if _, uid := entry(b.value, "clusterUID"); uid != nil && resolve(uid).Tag != "!!null" {
		b.ClusterUID = resolve(uid).Value
	}
	for next, seen := name, []string{}; next != "" && !slices.Contains(seen, next); {
		_, env := entry(all, next)
		if _, c := entry(env, "context"); c != nil {
			b.Context = resolve(c).Value
			break
		}
		seen = append(seen, next)
		if _, e := entry(env, "extends"); e != nil {
			next = resolve(e).Value
		}
	}
	return b, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// entry returns the entry of the mapping n whose key is called name, or nothing.
func entry(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	n = resolve(n)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// Bind returns the text with uid as the clusterUID of the environment. Nothing
// else changes: comments, order and spaces stay as they are. Its error is a
// [pipeline.Error] when the file is written in a way that cannot be edited so.
func (b *Binding) Bind(uid string) ([]byte, error) {
	written := uid
	if !plainUID().MatchString(uid) {
		written = strconv.QuoteToASCII(uid)
	}
	text, ok := b.edited(written)
	if !ok || !b.onlyChange(text, uid) {
		return nil, &pipeline.Error{Pos: b.pos(b.key), Code: "cannot-edit", Err: fmt.Errorf(
			"environment %s is written in a way that is not edited by program (write clusterUID: %s into it)", b.name, written)}
	}
	return text, nil
}

// plainUID is what YAML surely takes for text: a UUID, most of all.
var plainUID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
})

// edited makes the one change that fits how the environment is written.
func (b *Binding) edited(uid string) ([]byte, bool) {
	n := b.value
	at, ok := b.offset(n)
	_, old := entry(n, "clusterUID")
	switch {
	case !ok || n.Kind == yaml.AliasNode:
		return nil, false
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null": // production:
		space := ""
		if n.Value == "" {
			space = " "
		}
		return b.replaced(at, n.Value, space+"{clusterUID: "+uid+"}")
	case n.Kind != yaml.MappingNode:
		return nil, false
	case old != nil:
		at, ok := b.offset(old)
		if !ok || old.Kind != yaml.ScalarNode || old.Anchor != "" {
			return nil, false
		}
		was := old.Value
		switch {
		case old.Style&yaml.DoubleQuotedStyle != 0:
			was = `"` + was + `"`
		case old.Style&yaml.SingleQuotedStyle != 0:
			was = `'` + was + `'`
		case was == "":
			uid = " " + uid
		}
		return b.replaced(at, was, uid)
	case n.Style&yaml.FlowStyle != 0: // {namespace: shop}
		open := strings.IndexByte(string(b.text[at:]), '{')
		if open < 0 {
			return nil, false
		}
		at += open + 1
		word := "clusterUID: " + uid
		if len(n.Content) > 0 {
			word += ", "
		}
		if rest := strings.TrimLeft(string(b.text[at:]), " "); len(n.Content) > 0 && rest != "" && rest[0] != '\r' && rest[0] != '\n' {
			at = len(b.text) - len(rest)
		}
		return b.replaced(at, "", word)
	}
	// A mapping on lines of its own: the line below the name is new.
	first := n.Content[0]
	if first.Line <= b.key.Line {
		return nil, false
	}
	start, end := b.line(b.key.Line)
	eol := "\n"
	if strings.HasSuffix(string(b.text[start:end]), "\r\n") {
		eol = "\r\n"
	}
	return b.replaced(end, "", strings.Repeat(" ", first.Column-1)+"clusterUID: "+uid+eol)
}

// replaced returns the text with now in place of was at a byte; false if
// something else stands there.
func (b *Binding) replaced(at int, was, now string) ([]byte, bool) {
	if !strings.HasPrefix(string(b.text[at:]), was) {
		return nil, false
	}
	return slices.Concat(b.text[:at], []byte(now), b.text[at+len(was):]), true
}

// line returns where a line begins, and where the next one does.
func (b *Binding) line(number int) (start, end int) {
	for _, l := range b.lines[:number-1] {
		start += len(l) + 1
	}
	return start, min(len(b.text), start+len(b.lines[number-1])+1)
}

// offset returns the byte at which n begins.
func (b *Binding) offset(n *yaml.Node) (int, bool) {
	if n.Line < 1 || n.Line > len(b.lines) {
		return 0, false
	}
	start, end := b.line(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(b.text[start:end])
		start += size
	}
	return start, start <= end
}

// onlyChange reports whether text says what b says, but for the clusterUID.
func (b *Binding) onlyChange(text []byte, uid string) bool {
	was, now := map[string]any{}, map[string]any{}
	if errors.Join(yaml.Unmarshal(b.text, &was), yaml.Unmarshal(text, &now)) != nil {
		return false
	}
	environments, ok := was["environments"].(map[string]any)
	if !ok {
		return false
	}
	env, _ := environments[b.name].(map[string]any)
	bound := map[string]any{"clusterUID": uid}
	for k, v := range env {
		if k != "clusterUID" {
			bound[k] = v
		}
	}
	environments[b.name] = bound
	return reflect.DeepEqual(was, now)
}
