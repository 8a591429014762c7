package syntax

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
)

// expression compiles the expressions in the scalar n. It returns nil for text
// that has none, and false after an error.
func (d *decoder) expression(n *yaml.Node) (pipeline.Expr, bool) {
	e, err := d.compiler.Template(n.Value, d.place(n), d.names)
	if err != nil {
		d.errs.Add(d.pos(n), "", "bad-expression", err)
		return nil, false
	}
	if e != nil && d.scope == nil {
		for _, r := range e.Refs() {
			d.refs = append(d.refs, reference{r, d.pos(n)})
		}
	}
	return e, true
}

// value decodes something that may be promised.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, h hint) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "wrong-type", "%s is %s (want text or an expression)", h.key, what(n))
		return
	}
	if h.cond {
		d.condition(n, v, path, h)
		return
	}
	e, ok := d.expression(n)
	if !ok {
		return
	}
	if e == nil {
		if !h.any { // 1.20 and 0755 are what is written
			v.Set(reflect.ValueOf(literal(d.pos(n), n.Value)))
			return
		}
		if err := exact(n); err != nil {
			d.fail(n, "ambiguous", "%w", err)
			return
		}
		var lit any
		if err := n.Decode(&lit); err != nil {
			d.fail(n, "bad-yaml", "%v", err)
			return
		}
		v.Set(reflect.ValueOf(literal(d.pos(n), lit)))
		return
	}
	if d.secretFlow(n, e, path, h) {
		return
	}
	switch t := e.Type(); {
	case (h.image || h.pushed) && t != pipeline.Image && t != pipeline.Pushed && t != pipeline.Any && t != pipeline.String:
		d.fail(n, "wrong-type", "%s is of type %s (want an image, such as ${{ stages.NAME.image }})", h.key, t)
		return
	case (h.image || h.pushed) && t == pipeline.String && len(e.Refs()) > 0:
		d.fail(n, "wrong-type", "%s is a text that a stage gives (want the image itself: ${{ stages.%s.image }})", h.key, e.Refs()[0].Stage)
		return
	case h.pushed && t == pipeline.Image:
		d.fail(n, "not-pushed", "this image is in no registry, so no node can pull it (give its stage push:, or copy it to a repository)")
		return
	}
	v.Set(reflect.ValueOf(pipeline.Written(d.pos(n), e)))
}

// condition decodes a bare expression that is true or false.
func (d *decoder) condition(n *yaml.Node, v reflect.Value, path string, h hint) {
	switch {
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		d.fail(n, "yaml-tag", "YAML reads %s as a tag, and the condition would vanish (quote it: if: %q)", n.Tag, n.Tag+n.Value)
		return
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		d.fail(n, "wrong-type", "if is %s (want an expression)", what(n))
		return
	}
	e, err := d.compiler.Bare(n.Value, d.place(n), d.names)
	switch {
	case err != nil:
		d.errs.Add(d.pos(n), "", "bad-expression", err)
		return
	case e == nil: // only looking for outputs
		return
	case e.Type() != pipeline.Bool && e.Type() != pipeline.Any:
		d.fail(n, "wrong-type", "if is of type %s (want true or false, for example a comparison)", e.Type())
		return
	}
	if d.secretFlow(n, e, path, h) {
		return
	}
	for _, r := range e.Refs() {
		d.refs = append(d.refs, reference{r, d.pos(n)})
	}
	v.Set(reflect.ValueOf(pipeline.Written(d.pos(n), e)))
}

// exact reports an error for a number or date that YAML reads otherwise than it
// is written: 0755 would be 493.
func exact(n *yaml.Node) error {
	switch n.Tag {
	case "!!float", "!!timestamp", "!!binary":
		return fmt.Errorf("%s would not stay as it is written (quote it: %q)", n.Value, n.Value)
	case "!!int":
		if i, err := strconv.Atoi(n.Value); err != nil || strconv.Itoa(i) != n.Value {
			return fmt.Errorf("%s would not stay as it is written (quote it, or write a decimal number)", n.Value)
		}
	}
	return nil
}

func literal(pos pipeline.Pos, v any) pipeline.Value {
	val := pipeline.Known(v)
	val.Pos = pos
	return val
}

// scalar decodes text, a number or a truth value that must be known while planning.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, h hint) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(n, "wrong-type", "%s is %s (want %s)", h.key, what(n), article(v.Kind()))
		return
	}
	if i := strings.Index(n.Value, "${{"); h.literal && i >= 0 {
		err := fmt.Errorf("%s takes no expressions", h.key)
		if h.key == "script" {
			err = fmt.Errorf("script takes no expressions, for their text would become code (write env: {NAME: \"%s\"} and use $NAME)", strings.SplitAfter(n.Value[i:], "}}")[0])
		}
		d.errs.Add(d.place(n)(i), "", "no-expression-here", err)
		return
	}
	e, ok := d.expression(n)
	if !ok || e != nil && d.secretFlow(n, e, path, h) {
		return
	}
	if e != nil && d.scope == nil {
		d.placeholder(n, e, v, h)
		return
	}
	var got any
	if e != nil {
		var err error
		if got, err = e.Eval(*d.scope); err != nil {
			d.unkept(n, h, err)
			return
		}
	} else if v.Kind() == reflect.String {
		got = n.Value // 1.20 and yes are text where text is wanted
	} else if err := n.Decode(&got); err != nil {
		d.fail(n, "bad-yaml", "%v", err)
		return
	}
	if !set(v, got) {
		d.fail(n, "wrong-type", "%s is %s (want %s)", h.key, what(n), article(v.Kind()))
	}
}

// placeholder stands in v for an expression while there is no scope.
func (d *decoder) placeholder(n *yaml.Node, e pipeline.Expr, v reflect.Value, h hint) {
	t := e.Type()
	ok := t == pipeline.Any
	switch v.Kind() {
	case reflect.String:
		ok = ok || t == pipeline.String || t == pipeline.Int || t == pipeline.Bool || t == pipeline.Secret
		v.SetString(n.Value)
	case reflect.Bool:
		ok = ok || t == pipeline.Bool
	case reflect.Int, reflect.Int64:
		ok = ok || t == pipeline.Int
	}
	if !ok {
		d.fail(n, "wrong-type", "%s is a value of type %s (want %s)", h.key, t, article(v.Kind()))
	}
}

func (d *decoder) unkept(n *yaml.Node, h hint, err error) {
	if errors.Is(err, pipeline.ErrUnkept) {
		d.fail(n, "not-known-yet", "%s must be known while planning: %w", h.key, err)
		return
	}
	d.errs.Add(d.pos(n), "", "bad-value", fmt.Errorf("%s: %w", h.key, err))
}

// set puts got into v and reports whether it fits.
func set(v reflect.Value, got any) bool {
	switch v.Kind() {
	case reflect.String:
		switch got.(type) {
		case string, bool, int, int64:
			v.SetString(fmt.Sprint(got))
			return true
		}
	case reflect.Bool:
		b, ok := got.(bool)
		v.SetBool(b)
		return ok
	case reflect.Int, reflect.Int64:
		switch i := got.(type) {
		case int:
			v.SetInt(int64(i))
			return true
		case int64:
			v.SetInt(i)
			return true
		}
	}
	return false
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "wrong-type", "duration is %s (want one such as 90s, 5m or 1h30m)", what(n))
		return
	}
	got, err := time.ParseDuration(n.Value)
	if err != nil || got < 0 {
		d.fail(n, "wrong-type", "%q is no duration (want one such as 90s, 5m or 1h30m)", n.Value)
		return
	}
	v.SetInt(int64(got))
}

func article(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "text"
}
