package kustomize_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kustomize"
)

// unpack writes the files of an archive into a new folder.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shop uses most of what kustomizations are made of.
const shop = `
-- base/kustomization.yaml --
resources: [web.yaml, more]
configMapGenerator:
- name: conf
  files: [app.conf, template.yaml]
  literals: [a=1]
secretGenerator:
- name: keys
  literals: [pw=hunter2]
-- base/app.conf --
listen: [
-- base/template.yaml --
{{ not yaml
-- base/web.yaml --
# a comment

apiVersion: v1
kind: Service
metadata: {name: web, annotations: {}}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  creationTimestamp: null
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: &l {app: web}}
    spec:
      nodeSelector: *l
      containers:
      - {name: web, image: "shop/web:1", envFrom: [{configMapRef: {name: conf}}], args: ["<a&b>", "1.0", "0x10", "yes"], resources: {limits: {cpu: 1.50, memory: 1e3}}}
-- base/more/kustomization.yml --
resources: [list.yaml]
-- base/more/list.yaml --
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: one}
  data: {text: "line\nline\n", big: "9007199254740993"}
- apiVersion: example.com/v1
  kind: Widget
  metadata: {name: two}
  spec: {big: 9007199254740993, ratio: 1.0, small: 1e-9, off: null, none: {}}
-- overlays/staging/Kustomization --
namespace: shop-staging
namePrefix: st-
resources: [../../base, ns.yaml]
patches:
- path: patch.yaml
- target: {kind: Service}
  patch: |
    - op: replace
      path: /spec/ports/0/port
      value: 81
transformers:
- |
  apiVersion: builtin
  kind: AnnotationsTransformer
  metadata: {name: x}
  annotations: {who: me}
  fieldSpecs: [{path: metadata/annotations, create: true}]
images: [{name: shop/web, newTag: "2"}]
-- overlays/staging/ns.yaml --
apiVersion: v1
kind: Namespace
metadata: {name: shop-staging}
-- overlays/staging/patch.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3}
`

func TestBytesEqualThoseOfKustomize(t *testing.T) {
	dir := unpack(t, shop)
	for _, folder := range []string{"base", "base/more", "overlays/staging"} {
		options := krusty.MakeDefaultOptions()
		options.Reorder = krusty.ReorderOptionUnspecified
		rendered, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, folder))
		if err != nil {
			t.Fatal(err)
		}
		want, err := rendered.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // and again: the same
			objs, err := (&kustomize.Renderer{Root: dir}).Render(t.Context(), folder)
			if err != nil {
				t.Fatal(err)
			}
			got, err := kustomize.Encode(objs)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", folder, got, want)
			}
		}
	}
}

func TestOrigins(t *testing.T) {
	objs, err := (&kustomize.Renderer{Root: unpack(t, shop)}).Render(t.Context(), "overlays/staging")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		file string
		line int
	}{
		"Namespace shop-staging":          {"overlays/staging/ns.yaml", 1},
		"Service shop-staging/st-web":     {"base/web.yaml", 3},
		"Deployment shop-staging/st-web":  {"base/web.yaml", 8},
		"ConfigMap shop-staging/st-one":   {"base/more/list.yaml", 4},
		"Widget shop-staging/st-two":      {"base/more/list.yaml", 8},
		"ConfigMap shop-staging/st-conf-": {"base/kustomization.yaml", 3},
		"Secret shop-staging/st-keys-":    {"base/kustomization.yaml", 7},
	}
	for _, o := range objs {
		address := o.String()
		if i := strings.LastIndex(address, "-"); (o.Kind() == "ConfigMap" || o.Kind() == "Secret") && strings.Count(address, "-") > 2 {
			address = address[:i+1]
		}
		if o.File != want[address].file || o.Line != want[address].line {
			t.Errorf("%s: got %s:%d, want %s:%d", o, o.File, o.Line, want[address].file, want[address].line)
		}
		delete(want, address)
	}
	for address := range want {
		t.Errorf("no %s", address)
	}
}

func TestOriginIsSilentWhereTwoFit(t *testing.T) {
	objs, err := (&kustomize.Renderer{Root: unpack(t, `
-- kustomization.yaml --
resources: [a, b]
-- a/kustomization.yaml --
namePrefix: a-
resources: [x.yaml]
-- a/x.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}
-- b/kustomization.yaml --
namePrefix: b-
resources: [x.yaml]
-- b/x.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}
`)}).Render(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objs {
		if o.File != "" || o.Line != 0 {
			t.Errorf("%s: got %s:%d, want none", o, o.File, o.Line)
		}
	}
}

func TestNoKustomization(t *testing.T) {
	dir := unpack(t, "-- deploy/web.yaml --\n")
	for _, folder := range []string{"deploy", "nowhere", "deploy/web.yaml"} {
		_, err := (&kustomize.Renderer{Root: dir}).Render(t.Context(), folder)
		var missing *deploy.NoKustomizationError
		if !errors.As(err, &missing) || missing.Dir != folder {
			t.Errorf("%s: got %v", folder, err)
		}
	}
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("no more time")
	cancel(because)
	if _, err := (&kustomize.Renderer{Root: unpack(t, shop)}).Render(ctx, "base"); !errors.Is(err, because) {
		t.Errorf("got %v, want %v", err, because)
	}
}

func TestSchemaOfOneKustomizationDoesNotReachTheNext(t *testing.T) {
	dir := unpack(t, shop+`
-- odd/kustomization.yaml --
openapi: {path: schema.json}
resources: [w.yaml]
-- odd/schema.json --
{"definitions": {}}
-- odd/w.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: w}}
`)
	r := &kustomize.Renderer{Root: dir}
	render := func(folder string) string {
		objs, err := r.Render(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		text, err := kustomize.Encode(objs)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := render("overlays/staging")
	render("odd")
	if got := render("overlays/staging"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
