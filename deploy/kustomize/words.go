package kustomize

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// separator is what kustomize splits files at.
var separator = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\n---.*\n`) })

// split returns the documents of a file as kustomize splits them.
func split(text string) ([]string, error) {
	for _, s := range separator().FindAllString(text, -1) {
		if rest := strings.TrimSpace(s[len("\n---"):]); rest != "" && rest[0] != '#' {
			return nil, errors.New("a separator of documents has something behind it")
		}
	}
	return separator().Split(text, -1), nil
}

// filled returns documents such that none is empty, if one is not: an empty one, which
// kustomize passes over, stays with the one before it, and at the beginning with the next.
func filled(docs []string) []string {
	var all []string
	open := false // the last of all wants another one behind it
	for _, doc := range docs {
		switch empty := isEmpty(doc); {
		case len(all) > 0 && (empty || open):
			all[len(all)-1] += "\n---\n" + doc
			open = open && empty
		default:
			all, open = append(all, doc), empty
		}
	}
	return all
}

// isEmpty reports whether a document is nothing but comments.
func isEmpty(doc string) bool {
	for line := range strings.Lines(doc) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// get returns the value of a key of a mapping, or nil. Unlike field it is as exact as
// kustomize is with objects.
func get(n *yaml.Node, name string) *yaml.Node {
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// value returns the value of a key of a mapping if it is a scalar.
func value(n *yaml.Node, name string) string {
	if v := get(n, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// words adds all scalars below n. Those that aliases stand for are written somewhere.
func words(n *yaml.Node, to []string) []string {
	if n.Kind == yaml.ScalarNode {
		return append(to, n.Value)
	}
	for _, child := range n.Content {
		to = words(child, to)
	}
	return to
}

// referred adds the namespaces of all that is referred to by a mapping with a name and
// a namespace. The names of what may become one, such as a subject without a
// namespace, are told by an empty one.
func referred(n *yaml.Node, to []string) []string {
	if n.Kind == yaml.MappingNode && get(n, "name") != nil && get(n, "namespace") != nil {
		to = append(to, value(n, "namespace"))
	}
	for i, child := range n.Content {
		key := n.Kind == yaml.MappingNode && i%2 == 1
		if key && n.Content[i-1].Value == "metadata" {
			continue // says what it is
		}
		if key && n.Content[i-1].Value == "subjects" {
			to = append(to, "")
		}
		to = referred(child, to)
	}
	return to
}

// literal reports whether a pattern is a word that only matches itself.
func literal(pattern string) bool {
	return strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// hashed is a name with a hash behind it, as generated objects have.
var hashed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.+)-[a-z0-9]{10}$`) })

// repository returns the last word of the name in a reference to an image; of a
// pattern for such names only if it is sure that what it matches has the same.
func repository(image string) string {
	image = image[strings.LastIndexByte(image, '/')+1:]
	if end := strings.IndexAny(image, ":@"); end >= 0 {
		image = image[:end]
	}
	return image
}

// plainImage matches patterns for images that only match names which end as they do.
var plainImage = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9_.:-]+/)*[A-Za-z0-9_:-]+$`) })
