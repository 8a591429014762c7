package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// A Code says what is wrong with an object. Codes are stable: programs may match them.
type Code = string

// What can be wrong with an object.
const (
	UnknownField Code = "unknown-field" // no such field in this kind
	FieldType    Code = "field-type"    // a value of another type than the field has
	BadField     Code = "bad-field"     // a value that the API server refuses
	UnknownKind  Code = "unknown-kind"  // no kind of this name in the version
	RemovedAPI   Code = "removed-api"   // Kubernetes does not have it any longer, or not yet
	TwiceInSet   Code = "twice-in-set"  // one object, written twice
)

// A Validator finds what an API server would refuse. The zero value compares
// with the newest Kubernetes that it knows.
type Validator struct {
	Version string // of Kubernetes, such as "1.33"; empty: what Ask says

	// Ask returns the version of the cluster. It is called only for an object
	// whose answer depends on it; nil, or an error: the newest version known.
	Ask func(ctx context.Context) (string, error)
}

// Validate returns all that is wrong with objs, in their order: each error is a
// *[deploy.FieldError]. Objects that name no namespace are taken to be in namespace.
func (v *Validator) Validate(ctx context.Context, objs []deploy.Object, namespace string) []error {
	c := &checker{ctx: ctx, validator: v, definitions: definitions(objs)}
	seen := map[string]deploy.Object{}
	for _, o := range objs {
		c.object = o
		c.one()
		in := cmp.Or(o.Namespace(), namespace)
		if clusterWide(o) {
			in = ""
		}
		id := o.Group() + "/" + o.Kind() + "/" + in + "/" + o.Name()
		if first, twice := seen[id]; twice && o.Name() != "" {
			c.fail(nil, TwiceInSet, "stands twice in the set%s (keep one)", at(first))
		}
		seen[id] = o
	}
	return c.errs
}

// at says where an object is written, if that is known.
func at(o deploy.Object) string {
	if o.File == "" || o.Line == 0 {
		return ""
	}
	return fmt.Sprintf(", first in %s:%d", o.File, o.Line)
}

// clusterWide reports whether o is of one of the built-in kinds that have no
// namespace and are often written with one.
func clusterWide(o deploy.Object) bool {
	return slices.Contains([]string{"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PersistentVolume", "StorageClass", "PriorityClass", "IngressClass"}, o.Kind())
}

// A checker collects what is wrong.
type checker struct {
	ctx         context.Context
	validator   *Validator
	definitions map[kind]*definition
	object      deploy.Object // the one that is looked at
	errs        []error
	release     version // of Kubernetes; asked for once
}

func (c *checker) fail(path deploy.Path, code, format string, args ...any) {
	c.errs = append(c.errs, &deploy.FieldError{Object: c.object, Path: slices.Clone(path), Code: code, Err: fmt.Errorf(format, args...)})
}

// one checks one object. Rules that look at several fields come only where
// each field by itself is right: they would say the same again.
func (c *checker) one() {
	o := c.object
	of := kind{o.APIVersion(), o.Kind()}
	before := len(c.errs)
	typ, builtIn := builtIns()[of]
	def, custom := c.definitions[of]
	switch {
	case of.apiVersion == "" || of.name == "":
		c.fail(nil, BadField, "has no apiVersion or no kind (every object needs both)")
		return
	case builtIn:
		if c.lifecycle(of, typ) {
			c.walk(nil, o.Body, typ)
		}
	case custom:
		c.custom(def)
	default:
		c.unknown(of)
	}
	if len(c.errs) > before {
		return
	}
	c.metadata()
	if builtIn {
		c.rules(of)
	}
	if isDefinition(o) {
		c.definition()
	}
}

// errNoVersion reports that a text is no version of Kubernetes.
var errNoVersion = errors.New("no version of Kubernetes (want one such as 1.33)")
