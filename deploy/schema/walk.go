package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
)

// scalars are the types that read themselves from JSON.
func scalars() map[reflect.Type]func(c *checker, path deploy.Path, v any) {
	moment := func(c *checker, path deploy.Path, v any) {
		if text, ok := v.(string); !ok {
			c.wrong(path, v, "a time")
		} else if _, err := time.Parse(time.RFC3339, text); err != nil {
			c.fail(path, FieldType, "%q is no time (want one such as 2026-01-31T12:00:00Z)", text)
		}
	}
	anything := func(*checker, deploy.Path, any) {}
	return map[reflect.Type]func(c *checker, path deploy.Path, v any){
		reflect.TypeFor[resource.Quantity](): func(c *checker, path deploy.Path, v any) { c.quantity(path, v) },
		reflect.TypeFor[intstr.IntOrString](): func(c *checker, path deploy.Path, v any) {
			if _, text := v.(string); !text && !whole(v) {
				c.wrong(path, v, "a whole number or text")
			}
		},
		reflect.TypeFor[metav1.Time]():      moment,
		reflect.TypeFor[metav1.MicroTime](): moment,
		reflect.TypeFor[metav1.Duration](): func(c *checker, path deploy.Path, v any) {
			if text, ok := v.(string); !ok {
				c.wrong(path, v, "a duration such as 30s")
			} else if _, err := time.ParseDuration(text); err != nil {
				c.fail(path, FieldType, "%q is no duration (want one such as 30s)", text)
			}
		},
		reflect.TypeFor[metav1.FieldsV1]():      anything,
		reflect.TypeFor[runtime.RawExtension](): anything,
	}
}

var scalar = sync.OnceValue(scalars)

// walk compares v with a type, field by field.
func (c *checker) walk(path deploy.Path, v any, typ reflect.Type) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if v == nil { // as if it was not there
		return
	}
	if check, ok := scalar()[typ]; ok {
		check(c, path, v)
		return
	}
	switch typ.Kind() {
	case reflect.Struct:
		c.structure(path, v, typ)
	case reflect.Map:
		body, ok := v.(map[string]any)
		if !ok {
			c.wrong(path, v, "a mapping")
			return
		}
		for _, name := range slices.Sorted(maps.Keys(body)) {
			c.walk(path.To(name), body[name], typ.Elem())
		}
	case reflect.Slice, reflect.Array:
		c.list(path, v, typ.Elem())
	case reflect.String:
		if _, ok := v.(string); !ok {
			c.wrong(path, v, "text")
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			c.wrong(path, v, "true or false")
		}
	case reflect.Float32, reflect.Float64:
		if !numeric(v) {
			c.wrong(path, v, "a number")
		}
	case reflect.Int32:
		if !whole(v) {
			c.wrong(path, v, "a whole number")
		} else if n := integer(v); n > math.MaxInt32 || n < math.MinInt32 {
			c.fail(path, FieldType, "%d is too large", n)
		}
	default:
		if !whole(v) {
			c.wrong(path, v, "a whole number")
		}
	}
}

func (c *checker) structure(path deploy.Path, v any, typ reflect.Type) {
	body, ok := v.(map[string]any)
	if !ok {
		c.wrong(path, v, "a mapping")
		return
	}
	fields := fieldsOf(typ)
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if len(path) == 0 && name == "status" { // the server's own
			continue
		}
		if field, ok := fields[name]; ok {
			c.walk(path.To(name), body[name], field)
			continue
		}
		c.fail(path.To(name), UnknownField, "there is no such field%s", suggestion(name, slices.Collect(maps.Keys(fields))))
	}
}

// suggestion says what may be meant by a field, or what there is if that is little.
func suggestion(name string, known []string) string {
	if near := nearest(name, known); near != "" || len(known) > 25 || len(known) == 0 {
		return near
	}
	slices.Sort(known)
	return " (want one of " + strings.Join(known, ", ") + ")"
}

func (c *checker) list(path deploy.Path, v any, item reflect.Type) {
	if item.Kind() == reflect.Uint8 {
		if text, ok := v.(string); !ok {
			c.wrong(path, v, "text in base64")
		} else if _, err := base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "").Replace(text)); err != nil {
			c.fail(path, FieldType, "is not base64 (encode it; a Secret takes plain text under stringData)") // the text may be a secret
		}
		return
	}
	items, ok := v.([]any)
	if !ok {
		c.wrong(path, v, "a list")
		return
	}
	for n, each := range items {
		if each == nil {
			c.fail(path.To(strconv.Itoa(n)), FieldType, "is nothing (give it a value, or take the item away)")
			continue
		}
		c.walk(path.To(strconv.Itoa(n)), each, item)
	}
}

// wrong says that v is of another type than is wanted.
func (c *checker) wrong(path deploy.Path, v any, want string) {
	cure := ""
	if _, isText := v.(string); want == "text" && !isText {
		switch v.(type) {
		case map[string]any, []any:
		default:
			cure = ": put it in quotes"
		}
	}
	if text, isText := v.(string); isText && want != "text" {
		if _, err := strconv.ParseFloat(text, 64); err == nil && strings.Contains(want, "number") || text == "true" || text == "false" {
			cure = ": take the quotes away"
		}
	}
	c.fail(path, FieldType, "%s is %s (want %s%s)", c.shown(path, v), article(v), want, cure)
}

// shown returns a value for an error. Values of Secrets are not shown.
func (c *checker) shown(path deploy.Path, v any) string {
	switch v.(type) {
	case map[string]any, []any:
		return "it"
	}
	if c.object.Kind() == "Secret" && len(path) > 0 && (path[0] == "data" || path[0] == "stringData") {
		return "the value"
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > 60 {
		return "the value"
	}
	return string(text)
}

func article(v any) string {
	switch v := v.(type) {
	case string:
		return "text"
	case bool:
		return "a truth value"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case float64:
		if v == math.Trunc(v) {
			return "a number"
		}
		return "a fraction"
	}
	return "a number"
}

// quantity checks an amount such as 500m or 1Gi, and returns it.
func (c *checker) quantity(path deploy.Path, v any) (resource.Quantity, bool) {
	text, ok := v.(string)
	if !ok {
		if !numeric(v) {
			c.wrong(path, v, "an amount such as 500m or 1Gi")
			return resource.Quantity{}, false
		}
		text = fmt.Sprint(v)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		c.fail(path, FieldType, "%q is no amount%s", text, amountCure(text))
	}
	return q, err == nil
}

// amountCure suggests an amount for one that is written as people do.
func amountCure(text string) string {
	units := strings.NewReplacer("GB", "G", "MB", "M", "KB", "k", "gb", "G", "mb", "M", "GiB", "Gi", "MiB", "Mi", "KiB", "Ki", "gi", "Gi", "mi", "Mi", "ki", "Ki", " ", "", "g", "G", "K", "k")
	for _, meant := range []string{units.Replace(text), strings.TrimSuffix(strings.TrimSuffix(text, "B"), "b")} {
		if _, err := resource.ParseQuantity(meant); err == nil && meant != "" {
			return fmt.Sprintf(" (did you mean %s?)", meant)
		}
	}
	return " (want one such as 500m, 0.5, 128Mi or 1Gi)"
}

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(typ reflect.Type) map[string]reflect.Type {
	if known, ok := fieldCache.Load(typ); ok {
		return known.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case f.Anonymous && (name == "" || strings.Contains(options, "inline")):
			below := f.Type
			if below.Kind() == reflect.Pointer {
				below = below.Elem()
			}
			maps.Copy(fields, fieldsOf(below))
		case name != "":
			fields[name] = f.Type
		}
	}
	fieldCache.Store(typ, fields)
	return fields
}

// fieldCache keeps what fieldsOf found, by type.
var fieldCache sync.Map

func whole(v any) bool {
	switch v := v.(type) {
	case int, int32, int64:
		return true
	case float64:
		return v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return false
}

func numeric(v any) bool {
	switch v.(type) {
	case int, int32, int64, float64:
		return true
	}
	return false
}

// integer returns a whole number; 0 for all else.
func integer(v any) int64 {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}
