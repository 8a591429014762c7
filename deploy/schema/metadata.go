package schema

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-ci/slipway/deploy"
)

// naming says how objects of some kinds may be called; all others are DNS subdomains.
func naming(o deploy.Object) (rule func(string) []string, want string) {
	group, name := o.Group(), o.Kind()
	switch {
	case group == "" && name == "Namespace":
		return validation.IsDNS1123Label, "lower-case letters, digits and -, at most 63"
	case group == "" && name == "Service":
		return validation.IsDNS1035Label, "lower-case letters, digits and -, with a letter first, at most 63"
	case group == "rbac.authorization.k8s.io", group == "apiregistration.k8s.io":
		return pathSegment, "no / and no %"
	}
	return validation.IsDNS1123Subdomain, "lower-case letters, digits, - and ., a letter or digit at both ends"
}

func pathSegment(name string) []string {
	if name == "." || name == ".." || strings.ContainsAny(name, "/%") {
		return []string{"not a path segment"}
	}
	return nil
}

// metadata checks the names, labels and annotations of any object.
func (c *checker) metadata() {
	o := c.object
	if o.Name() == "" {
		cure := "give it one"
		if o.Field("metadata", "generateName") != nil {
			cure = "write metadata.name: what generateName makes cannot be applied again"
		}
		c.fail(deploy.Path{"metadata", "name"}, BadField, "has no name (%s)", cure)
	} else if rule, want := naming(o); len(rule(o.Name())) > 0 {
		c.fail(deploy.Path{"metadata", "name"}, BadField, "%q cannot be a name (want %s)", o.Name(), want)
	}
	if ns := o.Namespace(); ns != "" && len(validation.IsDNS1123Label(ns)) > 0 {
		c.fail(deploy.Path{"metadata", "namespace"}, BadField, "%q cannot be a namespace (want lower-case letters, digits and -, at most 63)", ns)
	}
	c.labels(deploy.Path{"metadata", "labels"})
	annotations := deploy.Path{"metadata", "annotations"}
	values, _ := o.Field(annotations...).(map[string]any)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, ok := values[key].(string)
		if !ok && values[key] != nil {
			c.wrong(annotations.To(key), values[key], "text")
			continue
		}
		size += len(key) + len(text)
		if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
			c.fail(annotations.To(key), BadField, "%q cannot be the key of an annotation (want [DOMAIN/]NAME, NAME at most 63 letters, digits, -, _ and .)", key)
		}
	}
	if size > 256<<10 {
		c.fail(annotations, BadField, "are larger than 256 KiB together")
	}
}

// labels checks the labels at path.
func (c *checker) labels(path deploy.Path) {
	values, _ := c.object.Field(path...).(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value, ok := values[key].(string)
		switch {
		case !ok && values[key] != nil:
			c.wrong(path.To(key), values[key], "text")
		case len(validation.IsQualifiedName(key)) > 0:
			c.fail(path.To(key), BadField, "%q cannot be the key of a label (want [DOMAIN/]NAME, NAME at most 63 letters, digits, -, _ and .)", key)
		case len(validation.IsValidLabelValue(value)) > 0:
			c.fail(path.To(key), BadField, "%q cannot be the value of a label (want at most 63 letters, digits, -, _ and ., a letter or digit at both ends)", value)
		}
	}
}
