package syntax_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/syntax"
)

const uid = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

// TestBind has the environment production before and after; all that is not
// about its clusterUID stays as it is, byte for byte.
func TestBind(t *testing.T) {
	for _, tt := range []struct{ name, before, after string }{
		{
			"lines", "  production: # the shop\n    # people live here\n    namespace: shop  # x\n\n    protected: true\n",
			"  production: # the shop\n    clusterUID: UID\n    # people live here\n    namespace: shop  # x\n\n    protected: true\n",
		},
		{"indented otherwise", "     production:\n      namespace:   shop\n", "     production:\n      clusterUID: UID\n      namespace:   shop\n"},
		{"an anchor", "  production: &p\n    namespace: shop\n  b: *p\n", ""},
		{"an anchor nobody uses", "  production: &p\n    namespace: shop\n", "  production: &p\n    clusterUID: UID\n    namespace: shop\n"},
		{"Windows", "  production:\r\n    namespace: shop\r\n", "  production:\r\n    clusterUID: UID\r\n    namespace: shop\r\n"},
		{"flow", "  production: {namespace: shop} # x\n", "  production: {clusterUID: UID, namespace: shop} # x\n"},
		{"flow with spaces", "  production: { namespace: shop }\n", "  production: { clusterUID: UID, namespace: shop }\n"},
		{"flow on lines", "  production: {\n    namespace: shop,\n  }\n", "  production: {clusterUID: UID, \n    namespace: shop,\n  }\n"},
		{"empty flow", "  production: {}\n", "  production: {clusterUID: UID}\n"},
		{"nothing", "  production:\n  b: {}\n", "  production: {clusterUID: UID}\n  b: {}\n"},
		{"nothing, at the end", "  production:", "  production: {clusterUID: UID}"},
		{"null", "  production: ~ # later\n", "  production: {clusterUID: UID} # later\n"},
		{"all in one line", "  {a: {}, production: {namespace: \"ä{\"}, b: {}}\n", "  {a: {}, production: {clusterUID: UID, namespace: \"ä{\"}, b: {}}\n"},
		{"quoted name", "  \"production\": {}\n", "  \"production\": {clusterUID: UID}\n"},
		{"merged", "  a: &a {clusterUID: other}\n  production: {<<: *a}\n", "  a: &a {clusterUID: other}\n  production: {clusterUID: UID, <<: *a}\n"},
		{"an alias", "  a: &a {}\n  production: *a\n", ""},
		{"bound", "  production: {clusterUID: old-uid, namespace: shop}\n", "  production: {clusterUID: UID, namespace: shop}\n"},
		{"bound, double quotes", "  production:\n    clusterUID: \"old\"   # of the cluster\n", "  production:\n    clusterUID: UID   # of the cluster\n"},
		{"bound, single quotes", "  production:\n    clusterUID: 'old'\n", "  production:\n    clusterUID: UID\n"},
		{"bound to nothing", "  production:\n    clusterUID:\n    namespace: x\n", "  production:\n    clusterUID: UID\n    namespace: x\n"},
		{"bound to a number", "  production:\n    clusterUID: 7e10\n", "  production:\n    clusterUID: UID\n"},
		{"bound in several lines", "  production:\n    clusterUID: >-\n      old\n", ""},
		{"bound with escapes", "  production:\n    clusterUID: \"\\x6fld\"\n", ""},
		{"bound with an anchor", "  production:\n    clusterUID: &u old\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, tail := "# ünï\nslipway: v1\nname: shop\nenvironments:\n", "\nstages: {a: {build: {}}}\n"
			if tt.name == "Windows" {
				head, tail = strings.ReplaceAll(head, "\n", "\r\n"), strings.ReplaceAll(tail, "\n", "\r\n")
			}
			b, err := syntax.ReadBinding("f.yaml", []byte(head+tt.before+tail), "production")
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.Bind(uid)
			if tt.after == "" {
				var e *pipeline.Error
				if !errors.As(err, &e) || e.Code != "cannot-edit" || !strings.Contains(err.Error(), uid) {
					t.Errorf("got %q, %v; want that it cannot be edited", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := head + strings.ReplaceAll(tt.after, "UID: UID", "UID: "+uid) + tail; string(got) != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			again, err := syntax.ReadBinding("f.yaml", got, "production")
			if err != nil || again.ClusterUID != uid {
				t.Errorf("read again: %q, %v", again.ClusterUID, err)
			}
			if same, err := again.Bind(uid); err != nil || string(same) != string(got) {
				t.Errorf("bound again, it changes: %v\n%s", err, same)
			}
		})
	}
}

func TestReadBinding(t *testing.T) {
	text := "environments:\n  base: {context: kind}\n  staging: {extends: base}\n  own: {extends: staging, context: mine}\n  round: {extends: round}\n"
	for name, want := range map[string]string{"base": "kind", "staging": "kind", "own": "mine", "round": ""} {
		if b, err := syntax.ReadBinding("f.yaml", []byte(text), name); err != nil || b.Context != want {
			t.Errorf("%s: %+v, %v; want context %q", name, b, err, want)
		}
	}
	for text, want := range map[string]string{
		text:               `no environment is called "stagin" (did you mean "staging"?) (f.yaml has base, staging, own, round)`,
		"name: x\n":        "f.yaml has none",
		"environments: []": "f.yaml has none",
		"environments: {":  "not YAML",
		"text":             "f.yaml has none",
	} {
		if _, err := syntax.ReadBinding("f.yaml", []byte(text), "stagin"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzBind(f *testing.F) {
	f.Add([]byte("environments:\n  e:\n    a: b\n"), "e", uid)
	f.Add([]byte("environments: {e: {a: b}, f: }\n"), "f", "x: }")
	f.Fuzz(func(t *testing.T, text []byte, name, uid string) {
		b, err := syntax.ReadBinding("f.yaml", text, name)
		if err != nil {
			return
		}
		got, err := b.Bind(uid)
		if err != nil {
			return
		}
		if again, err := syntax.ReadBinding("f.yaml", got, name); err != nil || again.ClusterUID != uid {
			t.Errorf("%q → %q: %v", text, got, err)
		}
	})
}
