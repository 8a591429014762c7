package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

// keyTable is a place in docs for the keys of something.
var keyTable = regexp.MustCompile(`(?s)(<!-- keys of (\w+) -->\n).*?(<!-- end of keys -->)`)

// TestKeyTables checks the tables of keys in docs/language.md, which are made of
// what the schema says, and so of the tables that decode. With -update it writes them.
func TestKeyTables(t *testing.T) {
	const file = "../../docs/language.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := syntax.Schema(stages.Kinds(stages.Tools{})) // and not the golden file, which may be old
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(schema, &root); err != nil {
		t.Fatal(err)
	}
	defs := root["$defs"].(map[string]any)
	strict := into(root, "then", "properties", "stages", "additionalProperties", "properties")
	tables := map[string]bool{}
	got := keyTable.ReplaceAllStringFunc(string(text), func(old string) string {
		m := keyTable.FindStringSubmatch(old)
		def, ok := defs[m[2]].(map[string]any)
		if !ok {
			t.Errorf("the schema has no %s", m[2])
			return old
		}
		tables[m[2]] = true
		return m[1] + "\n" + keysTable(def, into(strict, m[2])["required"]) + "\n" + m[3]
	})
	golden(t, file, []byte(got))
	kinds := into(defs, "defaults", "properties")
	for _, name := range append(pipeline.Keys(kinds), "var", "environment") {
		if !tables[name] {
			t.Errorf("%s has no table of the keys of %s (write <!-- keys of %s --> and <!-- end of keys -->)", file, name, name)
		}
	}
}

// into returns the mapping under these keys, one in the other; nil if there is none.
func into(v any, keys ...string) map[string]any {
	m, _ := v.(map[string]any)
	for _, key := range keys {
		m, _ = m[key].(map[string]any)
	}
	return m
}

// keysTable returns the properties of a definition as a table. Those that are but
// a kind stand under headings of their own.
func keysTable(def map[string]any, required any) string {
	var b strings.Builder
	b.WriteString("| key | |\n|---|---|\n")
	properties := def["properties"].(map[string]any)
	for _, key := range pipeline.Keys(properties) {
		doc, ok := properties[key].(map[string]any)["description"].(string)
		if !ok {
			continue
		}
		if slices.Contains(list(required), any(key)) {
			doc += " Required."
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(doc))
	}
	return b.String()
}
