package schema

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// A definition is one version of a kind that a CustomResourceDefinition of the set defines.
type definition struct {
	schema     map[string]any // openAPIV3Schema; nil: there is none
	namespaced bool
}

// isDefinition reports whether o is a CustomResourceDefinition.
func isDefinition(o deploy.Object) bool {
	return o.Kind() == "CustomResourceDefinition" && o.Group() == "apiextensions.k8s.io"
}

// definitions returns what the CustomResourceDefinitions among objs define.
func definitions(objs []deploy.Object) map[kind]*definition {
	defined := map[kind]*definition{}
	for _, o := range objs {
		if !isDefinition(o) {
			continue
		}
		group, _ := o.Field("spec", "group").(string)
		name, _ := o.Field("spec", "names", "kind").(string)
		versions, _ := o.Field("spec", "versions").([]any)
		for n := range versions {
			version, _ := o.Field("spec", "versions", strconv.Itoa(n), "name").(string)
			schema, _ := o.Field("spec", "versions", strconv.Itoa(n), "schema", "openAPIV3Schema").(map[string]any)
			if o.Field("spec", "preserveUnknownFields") == true {
				schema = nil
			}
			defined[kind{group + "/" + version, name}] = &definition{schema: schema, namespaced: o.Field("spec", "scope") == "Namespaced"}
		}
	}
	return defined
}

// definition checks what of a CustomResourceDefinition keeps it from being established.
func (c *checker) definition() {
	group, plural := c.text(deploy.Path{"spec", "group"}), c.text(deploy.Path{"spec", "names", "plural"})
	if want := plural + "." + group; c.object.Name() != want {
		c.fail(deploy.Path{"metadata", "name"}, BadField, "%q has to be spec.names.plural and spec.group: %s", c.object.Name(), want)
	}
	c.oneOf(deploy.Path{"spec", "scope"}, "Namespaced", "Cluster")
	stored := 0
	for _, v := range c.items(deploy.Path{"spec", "versions"}) {
		if c.at(v.To("storage")...) == true {
			stored++
		}
		if c.at(v.To("schema", "openAPIV3Schema")...) == nil {
			c.fail(v.To("schema"), BadField, "version %s has no openAPIV3Schema", c.text(v.To("name")))
		}
	}
	if stored != 1 {
		c.fail(deploy.Path{"spec", "versions"}, BadField, "%d versions have storage: true (want one)", stored)
	}
}

// custom compares a custom resource with its definition.
func (c *checker) custom(def *definition) {
	if def.schema == nil {
		return
	}
	before := len(c.errs)
	top := maps.Clone(def.schema)
	properties, _ := top["properties"].(map[string]any)
	properties = maps.Clone(properties)
	if properties == nil {
		properties = map[string]any{}
	}
	for _, name := range []string{"apiVersion", "kind", "metadata", "status"} { // the server's own; metadata comes below
		properties[name] = map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	}
	top["properties"] = properties
	c.node(nil, c.object.Body, top)
	if metadata, ok := c.object.Field("metadata").(map[string]any); ok {
		c.walk(deploy.Path{"metadata"}, metadata, objectMeta)
	}
	if len(c.errs) == before {
		c.celRules(nil, c.object.Body, def.schema)
	}
}

// node compares v with one node of a structural schema, see
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema.
func (c *checker) node(path deploy.Path, v any, s map[string]any) {
	if v == nil {
		if s["nullable"] != true && s["default"] == nil && len(path) > 0 && s["type"] != nil && s["x-kubernetes-preserve-unknown-fields"] != true {
			c.fail(path, FieldType, "is nothing (want %s, or leave it out)", wanted(s))
		}
		return
	}
	if s["x-kubernetes-int-or-string"] == true {
		if _, text := v.(string); !text && !whole(v) {
			c.wrong(path, v, "a whole number or text")
		}
		return
	}
	typ, _ := s["type"].(string)
	switch body := v.(type) {
	case map[string]any:
		if typ != "" && typ != "object" {
			c.wrong(path, v, wanted(s))
			return
		}
		c.object3(path, body, s)
	case []any:
		if typ != "" && typ != "array" {
			c.wrong(path, v, wanted(s))
			return
		}
		c.array3(path, body, s)
	default:
		if !fits(v, typ) {
			c.wrong(path, v, wanted(s))
			return
		}
		c.scalar3(path, v, s)
	}
}

// wanted says what a schema asks for, in words.
func wanted(s map[string]any) string {
	switch s["type"] {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "string":
		return "text"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	}
	return "a value"
}

func fits(v any, typ string) bool {
	switch typ {
	case "string":
		_, ok := v.(string)
		return ok
	case "integer":
		return whole(v)
	case "number":
		return numeric(v)
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "object", "array":
		return false
	}
	return true
}

func (c *checker) object3(path deploy.Path, body, s map[string]any) {
	properties, _ := s["properties"].(map[string]any)
	if s["x-kubernetes-embedded-resource"] == true {
		properties = maps.Clone(properties)
		if properties == nil {
			properties = map[string]any{}
		}
		for _, name := range []string{"apiVersion", "kind", "metadata"} {
			if properties[name] == nil {
				properties[name] = map[string]any{}
			}
		}
	}
	additional, _ := s["additionalProperties"].(map[string]any)
	open := s["x-kubernetes-preserve-unknown-fields"] == true || s["additionalProperties"] == true
	for _, name := range slices.Sorted(maps.Keys(body)) {
		below, known := properties[name].(map[string]any)
		switch {
		case known:
			c.node(path.To(name), body[name], below)
		case additional != nil:
			c.node(path.To(name), body[name], additional)
		case !open && (s["type"] == "object" || len(properties) > 0):
			c.fail(path.To(name), UnknownField, "there is no such field%s", suggestion(name, slices.Collect(maps.Keys(properties))))
		}
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		name, _ := name.(string)
		below, _ := properties[name].(map[string]any)
		if _, ok := body[name]; !ok && below["default"] == nil {
			c.fail(path.To(name), BadField, "is missing")
		}
	}
	c.count(path, len(body), s, "minProperties", "maxProperties", "entries")
}

func (c *checker) array3(path deploy.Path, list []any, s map[string]any) {
	items, _ := s["items"].(map[string]any)
	for n, item := range list {
		if items != nil {
			c.node(path.To(strconv.Itoa(n)), item, items)
		}
	}
	c.count(path, len(list), s, "minItems", "maxItems", "items")
	keys, _ := s["x-kubernetes-list-map-keys"].([]any)
	for n := range list {
		for m := range n {
			if s["x-kubernetes-list-type"] == "set" && reflect.DeepEqual(list[n], list[m]) || len(keys) > 0 && same(list[n], list[m], keys) {
				c.fail(path.To(strconv.Itoa(n)), BadField, "is there twice: item %d has the same %s", m, either(keys))
			}
		}
	}
}

func either(keys []any) string {
	words := make([]string, len(keys))
	for n, k := range keys {
		words[n] = fmt.Sprint(k)
	}
	if len(words) == 0 {
		return "value"
	}
	return strings.Join(words, " and ")
}

func same(a, b any, keys []any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	for _, k := range keys {
		k, _ := k.(string)
		if !reflect.DeepEqual(x[k], y[k]) {
			return false
		}
	}
	return true
}

// count checks how many there are of something.
func (c *checker) count(path deploy.Path, n int, s map[string]any, least, most, of string) {
	if limit := s[least]; limit != nil && n < int(integer(limit)) {
		c.fail(path, BadField, "has %d %s (want at least %d)", n, of, integer(limit))
	}
	if limit := s[most]; limit != nil && n > int(integer(limit)) {
		c.fail(path, BadField, "has %d %s (want at most %d)", n, of, integer(limit))
	}
}

func (c *checker) scalar3(path deploy.Path, v any, s map[string]any) {
	if choices, ok := s["enum"].([]any); ok && !slices.ContainsFunc(choices, func(e any) bool { return equal(e, v) }) {
		words := make([]string, len(choices))
		for n, e := range choices {
			words[n] = fmt.Sprint(e)
		}
		cure := nearest(fmt.Sprint(v), words)
		if cure == "" {
			cure = " (want " + strings.Join(words, ", ") + ")"
		}
		c.fail(path, BadField, "%s is not allowed%s", c.shown(path, v), cure)
	}
	if text, ok := v.(string); ok {
		c.count(path, len([]rune(text)), s, "minLength", "maxLength", "characters")
		if pattern, _ := s["pattern"].(string); pattern != "" {
			if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(text) {
				c.fail(path, BadField, "%s does not match %s", c.shown(path, v), pattern)
			}
		}
		return
	}
	n, isNumber := float(v)
	if least, ok := float(s["minimum"]); ok && isNumber && (n < least || n == least && s["exclusiveMinimum"] == true) {
		c.fail(path, BadField, "%v is too small (want %v or more)", v, s["minimum"])
	}
	if most, ok := float(s["maximum"]); ok && isNumber && (n > most || n == most && s["exclusiveMaximum"] == true) {
		c.fail(path, BadField, "%v is too large (want %v or less)", v, s["maximum"])
	}
	if step, ok := float(s["multipleOf"]); ok && isNumber && step != 0 && math.Mod(n, step) != 0 {
		c.fail(path, BadField, "%v is no multiple of %v", v, s["multipleOf"])
	}
}

func equal(a, b any) bool {
	x, okX := float(a)
	y, okY := float(b)
	return okX && okY && x == y || reflect.DeepEqual(a, b)
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}
