package kube

import (
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// TestPrune takes away what we own and nobody keeps, and no more.
func TestPrune(t *testing.T) {
	for name, test := range map[string]struct{ value, owned, kept, want string }{
		"field":             {`{data: {a: x, b: y}}`, `{f:data: {f:a: {}, f:b: {}}}`, `{f:data: {f:a: {}}}`, `{data: {a: x}}`},
		"kept by all":       {`{data: {a: x}}`, `{f:data: {f:a: {}}}`, `{f:data: {f:a: {}}}`, ``},
		"nobody's":          {`{data: {a: x, c: z}}`, `{f:data: {f:a: {}}}`, `{f:data: {f:a: {}}}`, ``},
		"last of a map":     {`{spec: {x: {a: 1}, y: 2}}`, `{f:spec: {f:x: {f:a: {}}}}`, `{f:spec: {f:y: {}}}`, `{spec: {y: 2}}`},
		"the map itself":    {`{spec: {x: {a: 1, unowned: 2}, y: 2}}`, `{f:spec: {f:x: {.: {}, f:a: {}}}}`, `{f:spec: {f:y: {}}}`, `{spec: {y: 2}}`},
		"the map, not all":  {`{spec: {x: {a: 1, theirs: 2}}}`, `{f:spec: {f:x: {.: {}, f:a: {}}}}`, `{f:spec: {f:x: {f:theirs: {}}}}`, `{spec: {x: {theirs: 2}}}`},
		"within a whole":    {`{spec: {x: {a: 1}}}`, `{f:spec: {f:x: {f:a: {}}}}`, `{f:spec: {f:x: {}}}`, ``},
		"item by key":       {`{c: [{name: a, image: x}, {name: b, image: y}]}`, `{f:c: {'k:{"name":"b"}': {.: {}, f:name: {}}}}`, `{f:c: {'k:{"name":"a"}': {.: {}}}}`, `{c: [{name: a, image: x}]}`},
		"in an item":        {`{c: [{name: a, image: x, tty: true}]}`, `{f:c: {'k:{"name":"a"}': {.: {}, f:name: {}, f:tty: {}}}}`, `{f:c: {'k:{"name":"a"}': {.: {}, f:name: {}}}}`, `{c: [{name: a, image: x}]}`},
		"item by two keys":  {`{p: [{port: 1, protocol: TCP}, {port: 1, protocol: UDP}]}`, `{f:p: {'k:{"port":1,"protocol":"UDP"}': {.: {}}}}`, `{f:p: {'k:{"port":1,"protocol":"TCP"}': {.: {}}}}`, `{p: [{port: 1, protocol: TCP}]}`},
		"item by value":     {`{f: [a, b]}`, `{f:f: {'v:"b"': {}}}`, `{f:f: {'v:"a"': {}}}`, `{f: [a]}`},
		"last item":         {`{f: [b], g: 1}`, `{f:f: {'v:"b"': {}}}`, `{f:g: {}}`, `{g: 1}`},
		"what is not there": {`{data: {a: x}}`, `{f:data: {f:b: {}}, f:spec: {f:x: {}}}`, `{}`, ``},
	} {
		value := body(t, test.value)
		left, dropped := prune(value, body(t, test.owned), body(t, test.kept))
		want := test.want
		if dropped != (want != "") {
			t.Errorf("%s: dropped %v", name, dropped)
		}
		if want == "" {
			want = test.value
		}
		if !reflect.DeepEqual(left, any(body(t, want))) {
			t.Errorf("%s: got %v, want %s", name, left, want)
		}
	}
}

// TestInherit asks who owns what once client-side applies own nothing any more.
func TestInherit(t *testing.T) {
	const (
		kubectl = `{manager: kubectl-client-side-apply, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {f:data: {f:a: {}, f:b: {}}}}`
		before  = `{manager: before-first-apply, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {f:data: {f:a: {}, f:z: {}}}}`
		ours    = `{manager: slipway, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {f:data: {f:a: {}, f:c: {}}}}`
		theirs  = `{manager: other, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {f:data: {f:d: {}}}}`
	)
	for name, test := range map[string]struct {
		managers []string
		want     string // empty: there is nothing to do
	}{
		"nobody's":                   {nil, ""},
		"others'":                    {[]string{theirs, ours}, ""},
		"kubectl's":                  {[]string{theirs, kubectl}, `{f:data: {f:a: {}, f:b: {}}}`},
		"kubectl's and ours":         {[]string{kubectl, ours}, `{f:data: {f:a: {}, f:b: {}, f:c: {}}}`},
		"before, and ours":           {[]string{before, ours}, `{f:data: {f:a: {}, f:c: {}}}`},
		"before, nothing ours":       {[]string{before}, ""},
		"before, kubectl's":          {[]string{before, kubectl}, `{f:data: {f:a: {}, f:b: {}}}`},
		"before, kubectl's and ours": {[]string{before, kubectl, ours}, `{f:data: {f:a: {}, f:b: {}, f:c: {}}}`},
		"another version":            {[]string{strings.Replace(kubectl, "v1,", "v1beta1,", 1)}, ""},
		"of a subresource":           {[]string{strings.Replace(kubectl, "{", "{subresource: status, ", 1)}, ""},
		"applied server-side":        {[]string{strings.Replace(kubectl, "Update", "Apply", 1)}, ""},
	} {
		live := body(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: "7", managedFields: [`+strings.Join(test.managers, ", ")+`]}}`)
		copied := body(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, resourceVersion: "7", managedFields: [`+strings.Join(test.managers, ", ")+`]}}`)
		it := &item{object: deploy.Object{Body: body(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`)}, live: live, set: &deploy.Set{}}
		got, err := it.inherit()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case (got != nil) != (test.want != ""):
			t.Errorf("%s: got %v, want %s", name, got, test.want)
		case got == nil:
		case !reflect.DeepEqual(got.owned, body(t, test.want)):
			t.Errorf("%s: got %v, want %s", name, got.owned, test.want)
		case !strings.Contains(string(got.patch), `"path":"/metadata/resourceVersion","value":"7"`):
			t.Errorf("%s: the patch does not say of which version: %s", name, got.patch)
		}
		if !reflect.DeepEqual(live, copied) {
			t.Errorf("%s: it wrote into the live object", name)
		}
		it.set = nil // such as the inventory
		if got, _ := it.inherit(); got != nil {
			t.Errorf("%s: what is no member is migrated", name)
		}
	}
}
