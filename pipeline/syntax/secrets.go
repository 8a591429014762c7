package syntax

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// secretNames are the parts of a name by which people recognise a secret.
var secretNames = []string{"TOKEN", "SECRET", "PASSWORD", "KEY"}

// looksSecret reports whether the name of an environment variable says that its
// value is a secret.
func looksSecret(name string) bool {
	up := strings.ToUpper(name)
	return strings.HasPrefix(up, "ACTIONS_") || slices.ContainsFunc(secretNames, func(s string) bool { return strings.Contains(up, s) })
}

// A flow is a secret on its way to where it may not go.
type flow struct {
	key     string   // that it would flow into
	path    []string // from the var, with dots
	allowed string   // where secrets may go, once that is known
}

func (f *flow) Error() string {
	return fmt.Sprintf("a secret may not flow into %s: %s%s", f.key, strings.Join(f.path, " → "), f.allowed)
}

// secretFlow reports an error when a secret would flow where it may not.
func (d *decoder) secretFlow(n *yaml.Node, e pipeline.Expr, path string, h hint) bool {
	if !e.Secret() || h.secret {
		return false
	}
	from := "a secret"
	if s, ok := e.(interface{ Secrets() []string }); ok {
		from = strings.Join(s.Secrets(), ", ")
	}
	d.errs.Add(d.pos(n), "", "secret-flow", &flow{key: h.key, path: []string{from, join(d.at, path)}})
	return true
}

// allow tells the flows among list where they could have gone.
func (p *Parser) allow(list pipeline.ErrorList) {
	var all []string
	for _, k := range p.Kinds {
		for _, path := range sinks(reflect.TypeOf(k.New()), "") {
			all = append(all, path+" of "+k.Name)
		}
	}
	for _, e := range list {
		if f := (*flow)(nil); errors.As(e, &f) && len(all) > 0 {
			f.allowed = " (secrets may go into " + strings.Join(all, ", ") + ")"
		}
	}
}

// sinks returns the paths below a value of type t that take secrets.
func sinks(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == valueType {
		return nil
	}
	var all []string
	for _, f := range fieldsOf(t) {
		if f.secret {
			all = append(all, join(path, f.key))
			continue
		}
		all = append(all, sinks(f.Type, join(path, f.key))...)
	}
	return all
}
