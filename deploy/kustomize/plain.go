package kustomize

import (
	"strconv"
	"strings"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Between an object and what is printed kustomize writes YAML, reads it, writes JSON,
// reads that as YAML, and writes YAML again. Most objects are plain: of maps, lists,
// and scalars that leave each of these steps as they went in. For them one step is
// enough. What is not known to be plain goes the whole way.

// plainBody returns what an object is, or that it is not plain.
func plainBody(n *kyaml.Node) (map[string]any, bool) {
	if n == nil || n.Kind != kyaml.MappingNode {
		return nil, false
	}
	v, ok := plainValue(n)
	body, _ := v.(map[string]any)
	return body, ok
}

func plainValue(n *kyaml.Node) (any, bool) {
	// Comments may be put where they become a part of something else.
	if n.Anchor != "" || n.HeadComment != "" || n.LineComment != "" || n.FootComment != "" {
		return nil, false
	}
	switch {
	case n.Kind == kyaml.ScalarNode:
		return plainScalar(n)
	case n.Kind == kyaml.SequenceNode && (n.Tag == "" || n.Tag == kyaml.NodeTagSeq) && n.Style&^kyaml.FlowStyle == 0:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, ok := plainValue(item)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		return list, true
	case n.Kind == kyaml.MappingNode && (n.Tag == "" || n.Tag == kyaml.NodeTagMap) && n.Style&^kyaml.FlowStyle == 0:
		fields := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, ok := plainValue(n.Content[i])
			key, text := k.(string)
			if !ok || !text || !plainKey(key) {
				return nil, false
			}
			if _, twice := fields[key]; twice {
				return nil, false
			}
			if fields[key], ok = plainValue(n.Content[i+1]); !ok {
				return nil, false
			}
		}
		return fields, true
	}
	return nil, false
}

func plainScalar(n *kyaml.Node) (any, bool) {
	switch n.Tag {
	case kyaml.NodeTagString:
		return n.Value, n.Style&^(kyaml.SingleQuotedStyle|kyaml.DoubleQuotedStyle) == 0 && plainText(n.Value, false)
	case "": // as what kustomize put there has it
		return n.Value, n.Style == 0 && word(n.Value)
	case kyaml.NodeTagInt:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		return i, err == nil && n.Style == 0 && strconv.FormatInt(i, 10) == n.Value
	case kyaml.NodeTagBool:
		return n.Value == "true", n.Style == 0 && (n.Value == "true" || n.Value == "false")
	case kyaml.NodeTagNull:
		return nil, n.Style == 0 && n.Value == "null" // one that is empty may come back as an empty string
	}
	return nil, false
}

// word reports whether a scalar without quotes or a tag is a string to all readers of YAML.
func word(s string) bool {
	switch strings.ToLower(s) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || strings.IndexByte("-_./", c) >= 0 || c == ':' && i+1 < len(s)):
		default:
			return false
		}
	}
	return true
}

// plainly reports whether a value is written as YAML as it is written by way of JSON.
func plainly(v any) bool {
	switch v := v.(type) {
	case nil, bool, int64:
		return true
	case string:
		return plainText(v, true)
	case []any:
		for _, e := range v {
			if !plainly(e) {
				return false
			}
		}
		return v != nil // which JSON has as null
	case map[string]any:
		for key, e := range v {
			if !plainKey(key) || !plainly(e) {
				return false
			}
		}
		return v != nil
	}
	return false
}

// plainKey reports whether a string may be a key: readers of YAML have a limit, and "<<" merges.
func plainKey(s string) bool { return len(s) <= 128 && s != "<<" && plainText(s, true) }

// plainText reports whether a string has printable ASCII alone, or line feeds where these may be.
func plainText(s string, lines bool) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && (c != '\n' || !lines) {
			return false
		}
	}
	return true
}
