package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

// parse reads a pipeline file that needs no world.
func parse(name string, text []byte) (*pipeline.Pipeline, error) {
	p := syntax.Parser{
		Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler),
		Read: func(string) ([]byte, error) { return nil, nil }, // an empty file
	}
	return p.Parse(name, text)
}

// TestSchema checks that the schema that is committed is the one of the tables.
func TestSchema(t *testing.T) {
	text, err := syntax.Schema(stages.Kinds(stages.Tools{}))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../../schema/slipway.schema.json", text)
}

// structural are the codes of mistakes that a schema can see.
var structural = []string{"unknown-key", "missing-key", "two-kinds", "no-kind", "wrong-version", "bad-name", "no-expression-here", "bare-expression"}

// TestSchemaAgrees holds the schema against the decoder: what Parse takes is
// valid, and what Parse refuses for its structure is not.
func TestSchemaAgrees(t *testing.T) {
	s := loadSchema(t)
	refused := 0
	for name, text := range pipelines(t) {
		var doc any
		if yaml.Unmarshal(text, &doc) != nil {
			continue // no YAML, no JSON
		}
		invalid := s.check(doc)
		_, err := parse(name, text)
		var list pipeline.ErrorList
		switch {
		case err == nil && invalid != nil:
			t.Errorf("%s is right, but the schema says: %v", name, invalid)
		case errors.As(err, &list):
			i := slices.IndexFunc(list, func(e *pipeline.Error) bool { return slices.Contains(structural, e.Code) })
			if i >= 0 {
				refused++
			}
			if i >= 0 && invalid == nil {
				t.Errorf("%s: the schema lets pass: %v", name, list[i])
			}
		}
	}
	if refused < 5 {
		t.Errorf("only %d broken files were tried", refused)
	}
}

// TestSchemaTypos misspells every key of every right file, one at a time: the
// schema refuses what the decoder refuses.
func TestSchemaTypos(t *testing.T) {
	s := loadSchema(t)
	tried := 0
	for name, text := range pipelines(t) {
		var doc yaml.Node
		if _, err := parse(name, text); err != nil || yaml.Unmarshal(text, &doc) != nil || bytes.Contains(text, []byte("<<:")) {
			continue
		}
		var visit func(n *yaml.Node)
		visit = func(n *yaml.Node) {
			for i, c := range n.Content {
				visit(c)
				if n.Kind != yaml.MappingNode || i%2 == 1 {
					continue
				}
				was := c.Value
				c.Value += "x"
				var broken any
				typo, err := yaml.Marshal(&doc)
				if err == nil {
					err = doc.Decode(&broken)
				}
				if err != nil {
					t.Fatal(err)
				}
				_, err = parse(name, typo)
				var list pipeline.ErrorList
				if errors.As(err, &list) && list[0].Code == "unknown-key" {
					if tried++; s.check(broken) == nil {
						t.Errorf("%s:%d: the schema knows %s", name, c.Line, c.Value)
					}
				}
				c.Value = was
			}
		}
		visit(&doc)
	}
	if tried < 50 {
		t.Errorf("only %d typos were tried", tried)
	}
}

// pipelines returns every pipeline file of examples, docs and golden errors.
func pipelines(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{"../../examples/*/slipway.yaml", "../../pipeline/syntax/testdata/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal("no files", pattern, err)
		}
		for _, file := range files {
			if all[file], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, block := range blocks(t) {
		all[name] = []byte(block)
	}
	return all
}

// A jsonSchema is a schema as a validator sees it: of the keywords, it knows
// those that we use, and no others.
type jsonSchema struct {
	root any
}

func loadSchema(t *testing.T) jsonSchema {
	t.Helper()
	text, err := os.ReadFile("../../schema/slipway.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s jsonSchema
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s jsonSchema) check(v any) error { return s.valid(s.root, v, "file") }

func (s jsonSchema) valid(rules, v any, at string) error {
	if rules == false {
		return fmt.Errorf("%s: may not be here", at)
	}
	all := rules.(map[string]any)
	for _, word := range pipeline.Keys(all) {
		if err := s.keyword(all, word, v, at); err != nil {
			return err
		}
	}
	return nil
}

func (s jsonSchema) keyword(all map[string]any, word string, v any, at string) error {
	rule := all[word]
	obj, isObject := v.(map[string]any)
	fits := func(list any) (n int, err error) {
		for _, r := range list.([]any) {
			if e := s.valid(r, v, at); e == nil {
				n++
			} else {
				err = errors.Join(err, e)
			}
		}
		return n, err
	}
	switch word {
	case "$schema", "$id", "$defs", "title", "description", "then":
	case "$ref":
		def := s.root.(map[string]any)["$defs"].(map[string]any)[strings.TrimPrefix(rule.(string), "#/$defs/")]
		return s.valid(def, v, at)
	case "type":
		if !slices.ContainsFunc(list(rule), func(t any) bool { return isType(v, t.(string)) }) {
			return fmt.Errorf("%s: %v is not of type %v", at, v, rule)
		}
	case "const":
		if v != rule {
			return fmt.Errorf("%s: %v is not %v", at, v, rule)
		}
	case "enum":
		if !slices.Contains(rule.([]any), v) {
			return fmt.Errorf("%s: %v is not in %v", at, v, rule)
		}
	case "pattern":
		if text, ok := v.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(text) {
			return fmt.Errorf("%s: %q does not match %s", at, text, rule)
		}
	case "not":
		if s.valid(rule, v, at) == nil {
			return fmt.Errorf("%s: %v may not be", at, v)
		}
	case "allOf":
		if _, err := fits(rule); err != nil {
			return err
		}
	case "anyOf":
		if n, err := fits(rule); n == 0 {
			return err
		}
	case "oneOf":
		if n, err := fits(rule); n != 1 {
			return fmt.Errorf("%s: %d of oneOf fit: %w", at, n, err)
		}
	case "if":
		if s.valid(rule, v, at) == nil {
			return s.valid(all["then"], v, at)
		}
	case "required":
		for _, key := range rule.([]any) {
			if _, ok := obj[key.(string)]; isObject && !ok {
				return fmt.Errorf("%s: needs %s", at, key)
			}
		}
	case "minProperties":
		if isObject && len(obj) < int(rule.(float64)) {
			return fmt.Errorf("%s: is empty", at)
		}
	case "propertyNames":
		for _, key := range pipeline.Keys(obj) {
			if err := s.valid(rule, key, at); err != nil {
				return err
			}
		}
	case "properties", "additionalProperties":
		known, _ := all["properties"].(map[string]any)
		for _, key := range pipeline.Keys(obj) {
			r, ok := known[key]
			if word == "additionalProperties" {
				r, ok = rule, !ok
			}
			if ok {
				if err := s.valid(r, obj[key], at+"."+key); err != nil {
					return err
				}
			}
		}
	case "items":
		l, _ := v.([]any)
		for i, el := range l {
			if err := s.valid(rule, el, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("the validator of this test does not know %q", word)
	}
	return nil
}

func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func isType(v any, want string) bool {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Invalid:
		return want == "null"
	case reflect.Bool:
		return want == "boolean"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return want == "integer" || want == "number"
	case reflect.Float64:
		return want == "number"
	case reflect.Slice:
		return want == "array"
	case reflect.Map:
		return want == "object"
	}
	return want == "string" // text, and dates, which are text in JSON
}
