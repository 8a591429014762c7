package kustomize

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// Objects that are plain, and some that only look so.
var plains = []string{
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {}}\ndata: {a: 'true', b: \"1.0\", c: 0x, d: st-svc9, e: a:b/c}\n",
	"a: 1\nb: -7\nc: true\nd: null\nf: []\ng: [1, [x, {y: z}], '']\n",
	"a: ' x '\nb: \"\"\nc: '- x'\nd: '#'\ne: \"a: b # c\"\nf: '<<'\ng: '*a'\nh: '2020-01-01'\ni: '0o7'\nj: yes\n",
	"a: 12:30\n", "? a\n: b\n", "'1': a\n", "a: 'it''s'\n", "a: {b: {c: {}}}\n",
}

var detours = []string{
	"a: |\n  x\n  y\n", "a: >-\n  x\n  y\n", "a: |2-\n   x\n", "a: \"x\\ny\"\n", "a: \"\\x7f\\u0085\\u2028\\ufeff\"\n", "a: \"t\\tt\"\n",
	"a: 1.0\n", "a: 1e3\n", "a: 0x1F\n", "a: 007\n", "a: 1_000\n", "a: +1\n", "a: -0\n", "a: 99999999999999999999\n", "a: .inf\n", "a: .nan\n",
	"a: 2020-01-01\n", "a: !!str 1\n", "a: !!binary aGVsbG8=\n", "a: !!int '1'\n", "a: !x 1\n", "!!map {a: 1}\n", "a: True\nb: NULL\nc: ~\n",
	"a: &x 1\nb: *x\n", "a: &x {b: 1}\nc: {<<: *x}\n", "1: a\n", "true: a\n", "null: a\n", "[a]: b\n", "a: 1\na: 2\n",
	"# c\na: 1 # d\n# e\n", "a: [1, # x\n 2]\n", "a: {b: 1} # c\n", "a: {b: }\n", "a: é\n", "- a\n", "a\n", "",
}

// FuzzPlain compares the short way of plain objects with that of kustomize.
func FuzzPlain(f *testing.F) {
	for _, text := range slices.Concat(plains, detours) {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, untagged bool) {
		_ = shortcut(t, text, untagged)
	})
}

// shortcut reports whether an object is plain, and fails where the short way is another.
func shortcut(t *testing.T, text string, untagged bool) bool {
	node, err := kyaml.Parse(text)
	if err != nil {
		return false
	}
	if untagged { // as kustomize makes scalars
		untag(node.YNode(), map[*kyaml.Node]bool{})
	}
	got, ok := plainBody(node.YNode())
	if !ok {
		return false
	}
	long, err := node.MarshalJSON()
	if err != nil {
		t.Fatalf("%q is no object: %v", text, err)
	}
	want, err := decode(long)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is %#v, by way of YAML and JSON %#v", text, got, want)
	}
	printed, err := encode(got)
	if err != nil {
		t.Fatal(err)
	}
	if long, err = json.Marshal(want); err != nil {
		t.Fatal(err)
	}
	if long, err = yaml.JSONToYAML(long); err != nil {
		t.Fatal(err)
	}
	if string(printed) != string(long) {
		t.Fatalf("%q is printed as %q, by way of JSON as %q", text, printed, long)
	}
	return true
}

func untag(n *kyaml.Node, seen map[*kyaml.Node]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	if n.Kind == kyaml.ScalarNode && n.Style == 0 {
		n.Tag = ""
	}
	for _, c := range n.Content {
		untag(c, seen)
	}
	untag(n.Alias, seen)
}

// TestPlain sees that the short way is taken where it should be, and bodies that come
// from elsewhere are printed by it only as JSON has them.
func TestPlain(t *testing.T) {
	for _, text := range plains {
		if !shortcut(t, text, false) {
			t.Errorf("%q is not taken as plain", text)
		}
	}
	for _, text := range detours {
		if shortcut(t, text, false) {
			t.Errorf("%q is taken as plain", text)
		}
	}
	for _, body := range []map[string]any{
		nil,
		{},
		{"a": nil},
		{"a": []any(nil)},
		{"a": map[string]any(nil)},
		{"a": 1e6},
		{"a": 1.5},
		{"a": "x\ny\n"},
		{"a": "\t"},
		{"a": "\u0085"},
		{"a": "\xff"},
		{"<<": "a"},
		{"a": []string{"b"}},
		{"a": uint8(1)},
		{"a": int64(-1)},
		{"a": "yes"},
		{"a": "1:20"},
		{"a": "<b>&"},
	} {
		got, err := encode(body)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		want, err := yaml.JSONToYAML(text)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%#v is printed as %q, by way of JSON as %q", body, got, want)
		}
	}
}
