package kustomize_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kustomize"
)

// laughs is the well known file: nine levels of nine aliases.
func laughs() string {
	var text strings.Builder
	text.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for n := range 9 {
		fmt.Fprintf(&text, "a%d: &a%d [%s]\n", n+1, n+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", n), 9), ", "))
	}
	return text.String()
}

func TestRefuses(t *testing.T) {
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(laughs()), "\n", "\n    ") + "\n"
	const builtin = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\n"
	for name, row := range map[string]struct{ files, want string }{
		"http resource":      {"-- kustomization.yaml --\nresources:\n- https://example.com/x.yaml\n", "kustomization.yaml:2: https://example.com/x.yaml is remote"},
		"http in capitals":   {"-- kustomization.yaml --\nRESOURCES: [\"HTTP://example.com/x.yaml\"]\n", "kustomization.yaml:1: HTTP://example.com/x.yaml is remote"},
		"github":             {"-- kustomization.yaml --\nresources: [github.com/a/b]\n", "is remote"},
		"github, also here":  {"-- kustomization.yaml --\nresources: [github.com/a/b]\n-- github.com/a/b/kustomization.yaml --\nresources: []\n", "is remote"},
		"ssh":                {"-- kustomization.yaml --\ncomponents: [\"git@example.com:a/b\"]\n", "is remote"},
		"file url":           {"-- kustomization.yaml --\nbases: [\"file:///tmp/x\"]\n", "is remote"},
		"go-getter":          {"-- kustomization.yaml --\nresources: [\"git::https://example.com/a/b\"]\n", "is remote"},
		"patch":              {"-- kustomization.yaml --\npatches:\n- path: https://example.com/p\n", "kustomization.yaml:2: https://example.com/p is remote (patches.path names it"},
		"generator":          {"-- kustomization.yaml --\nconfigMapGenerator:\n- name: x\n  files: [a=https://example.com/p]\n", "is remote"},
		"env":                {"-- kustomization.yaml --\nsecretGenerator:\n- name: x\n  envs: [http://example.com/p]\n", "is remote"},
		"openapi":            {"-- kustomization.yaml --\nopenapi: {path: http://example.com/p}\n", "is remote"},
		"replacement":        {"-- kustomization.yaml --\nreplacements: [{path: http://example.com/p}]\n", "is remote"},
		"crds":               {"-- kustomization.yaml --\ncrds: [http://example.com/p]\n", "is remote"},
		"alias":              {"-- kustomization.yaml --\nnamePrefix: &u http://example.com/p\nresources: [*u]\n", "is remote"},
		"merged":             {"-- kustomization.yaml --\nconfigMapGenerator: [{name: x, <<: {files: [http://example.com/p]}}]\n", "is remote"},
		"base64":             {"-- kustomization.yaml --\nresources: [!!binary aHR0cDovL2V4YW1wbGUuY29t]\n", "base64"},
		"below":              {"-- kustomization.yaml --\nresources: [b]\n-- b/kustomization.yaml --\nresources:\n- http://example.com/p\n", "b/kustomization.yaml:2: http://example.com/p is remote"},
		"inline transformer": {"-- kustomization.yaml --\ntransformers:\n- |\n  " + strings.ReplaceAll(builtin, "\n", "\n  ") + "path: http://example.com/p\n", "is remote"},
		"transformer file":   {"-- kustomization.yaml --\ntransformers: [t.yaml]\n-- t.yaml --\n" + builtin + "path: http://example.com/p\n", "t.yaml:4: http://example.com/p is remote"},
		"patched transformer": {
			"-- kustomization.yaml --\ntransformers: [t]\n-- t/kustomization.yaml --\nresources: [t.yaml]\npatches: []\n-- t/t.yaml --\n" + builtin,
			"t/kustomization.yaml:2: patches stands in a folder of transformers",
		},
		"helm":                           {"-- kustomization.yaml --\nhelmCharts: [{name: x}]\n", "kustomization.yaml:1: helm charts are not rendered"},
		"no such file":                   {"-- kustomization.yaml --\nresources:\n- a.yaml\n- b.yaml\n-- a.yaml --\n", "kustomization.yaml:3: there is no b.yaml (resources names it)"},
		"bad yaml":                       {"-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\na: 1\nb: [\n", "a.yaml:"},
		"bad kustomization":              {"-- kustomization.yaml --\nresource: [a.yaml]\n", "kustomization.yaml:1: kustomizations have no field resource"},
		"twice":                          {"-- kustomization.yaml --\nresources: [a.yaml, b.yaml]\n-- a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n-- b.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n", "may not add resource with an already registered id"},
		"outside":                        {"-- kustomization.yaml --\nnamePrefix: x-\n-- sub/kustomization.yaml --\nresources: [../a.yaml]\n-- a.yaml --\n{}\n", ""},
		"bomb":                           {"-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\n" + laughs(), "a.yaml:9: aliases expand to more than 4 MiB"},
		"bomb in a patch":                {"-- kustomization.yaml --\npatches:\n- patch: |\n" + indented, "kustomization.yaml:2: aliases expand to more than 4 MiB"},
		"bomb of text":                   {"-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\na: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*a, ", 100) + "]\n", "a.yaml:2: aliases expand"},
		"bomb as data and resource":      {"-- kustomization.yaml --\nresources: [a.yaml]\nconfigMapGenerator: [{name: x, files: [a.yaml]}]\n-- a.yaml --\n" + laughs(), "a.yaml:9: aliases"},
		"bomb as kustomization and data": {"-- kustomization.yaml --\nresources: [b]\nconfigMapGenerator: [{name: x, files: [b/kustomization.yaml]}]\n-- b/kustomization.yaml --\n" + laughs(), "b/kustomization.yaml:9: aliases"},
		"loop":                           {"-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\na: &a [*a]\n", "a.yaml:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			folder := "."
			if name == "outside" {
				folder, row.want = "sub", "is not in or below"
			}
			_, err := (&kustomize.Renderer{Root: unpack(t, row.files)}).Render(t.Context(), folder)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("got %v, want %q", err, row.want)
			}
			var located *deploy.FileError
			if !errors.As(err, &located) {
				t.Errorf("got %T, want a *deploy.FileError", err)
			}
			if len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
				t.Errorf("noise: %v", err)
			}
		})
	}
}

func TestPassesWhatOnlyLooksRefusable(t *testing.T) {
	for name, files := range map[string]string{
		"url as value":        "-- kustomization.yaml --\nconfigMapGenerator: [{name: x, literals: [u=https://example.com]}]\ncommonAnnotations: {path: https://example.com}\n",
		"file with an at":     "-- kustomization.yaml --\nresources: [me@home.yaml]\n-- me@home.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n",
		"bomb that is data":   "-- kustomization.yaml --\nconfigMapGenerator: [{name: x, files: [a.yaml]}]\n-- a.yaml --\n" + laughs(),
		"anchors, moderately": "-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: &l {a: b}, annotations: *l}}\n",
		"transformer file":    "-- kustomization.yaml --\nresources: [a.yaml]\ntransformers: [t/t.yaml]\n-- a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n-- t/t.yaml --\n{apiVersion: builtin, kind: PatchTransformer, metadata: {name: x}, path: p.yaml, target: {kind: ConfigMap}}\n-- p.yaml --\n- {op: add, path: /data, value: {a: b}}\n",
		"generator file":      "-- kustomization.yaml --\ngenerators: [g]\n-- g/kustomization.yaml --\nresources: [g.yaml]\n-- g/g.yaml --\n{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: x}, name: x, files: [d.txt]}\n-- d.txt --\na: [\n",
	} {
		t.Run(name, func(t *testing.T) {
			objs, err := (&kustomize.Renderer{Root: unpack(t, files)}).Render(t.Context(), ".")
			if err != nil || len(objs) != 1 {
				t.Errorf("got %v, %v", objs, err)
			}
		})
	}
}

func TestRefusesWhatIsTooLarge(t *testing.T) {
	dir := unpack(t, "-- kustomization.yaml --\nresources: [a.yaml, b.yaml]\n-- a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n-- b.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n")
	if _, err := (&kustomize.Renderer{Root: dir, MaxFile: 50}).Render(t.Context(), "."); err == nil || !strings.HasPrefix(err.Error(), "a.yaml: is larger than 50 bytes") {
		t.Errorf("one file: got %v", err)
	}
	if _, err := (&kustomize.Renderer{Root: dir, MaxRead: 120}).Render(t.Context(), "."); err == nil || !strings.HasPrefix(err.Error(), "b.yaml: makes all files together larger than 120 bytes") {
		t.Errorf("all files: got %v", err)
	}
}

func TestRefusesALinkedKustomization(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	dir := unpack(t, "-- kustomization.yaml --\nresources: [b]\n-- other --\nresources: [http://example.com/x]\n-- b/x --\n")
	if err := os.Symlink("../other", filepath.Join(dir, "b", "kustomization.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{".", "b"} {
		_, err := (&kustomize.Renderer{Root: dir}).Render(t.Context(), folder)
		if err == nil || !strings.Contains(err.Error(), "b/kustomization.yaml: is a symbolic link") {
			t.Errorf("%s: got %v", folder, err)
		}
	}
}
