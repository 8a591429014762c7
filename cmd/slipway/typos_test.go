package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

var (
	keyPattern = regexp.MustCompile(`[A-Za-z]+:(?:[ \n,}]|$)`)
	suggestion = regexp.MustCompile(`did you mean "([^"]+)"`)
)

// everything is a file with every key of the language.
const everything = `slipway: v1
name: shop
vars:
  registry: {default: r.example/shop, env: SHOP, pattern: '[a-z./]+', description: where}
  grade: {type: string, required: true, oneOf: [debug, info]}
  copies: {type: int, default: 2, min: 1, max: 3}
  token: {type: secret, env: NPM_TOKEN}
environments:
  first: {namespace: shop-first, context: one, clusterUID: u1, vars: {copies: 1}}
  last: {extends: first, protected: true, promotes: first}
defaults:
  stage: {timeout: 5m, retries: 1}
  build: {platforms: [linux/amd64], args: {A: a}}
stages:
  base:
    description: what others are built on
    build:
      context: base
      dockerfile: {inline: FROM scratch}
      ssh: {own: agent}
      allow: [network.host]
      network: host
      ulimits: {nofile: "1:2"}
      noCache: true
      labels: {A: a}
      annotations: {A: a}
      compression: {type: zstd, level: 3}
      epoch: commit
      cache: {from: [{type: registry, ref: r.example/c}, {type: local, path: x, mode: max}], to: [{type: gha, scope: x}]}
      attest: {provenance: max, sbom: r.example/scanner:1}
      reuse: {allowed: true, repository: r.example/main, maxAge: 24h}
      output: [{type: oci, path: o.tar, name: "n:1"}]
  late:
    build: {context: base, dockerfile: D, target: t, include: [x], secrets: {npm: "${{ vars.token }}"}}
  svc:
    matrix: {svc: [cart, web], include: [{svc: cart, port: 80}], exclude: [{svc: web}], max: 9}
    if: vars.copies > 1
    build:
      contexts: {base: "${{ stages.base.image }}"}
      args: {PORT: "${{ matrix.port }}"}
      cache: {mode: auto, repository: r.example/cache}
      dockerfile: {path: D}
      push: {repository: "${{ vars.registry }}/${{ matrix.svc }}", immutable: true, tags: [{tag: v1, if: "vars.grade == 'info'"}]}
  unit:
    needs: [{stage: svc, cell: cart, optional: true}]
    always: true
    exec: {image: "${{ stages.base.image }}", command: [x], workdir: /w, user: u, env: {E: e}, network: none, cache: true, source: {path: ., include: [x], mount: /w}, secrets: {t: "${{ vars.token }}"}, artifacts: [{from: /o, to: o}], junit: /j.xml}
  scripted:
    exec: {image: "${{ stages.svc['cart'].image }}", script: run}
  publish:
    needs: [{stage: unit}]
    copy: {image: "${{ stages.base.image }}", to: {repository: r.example/base, tags: [x]}}
  files:
    render: {kustomize: k, to: out.yaml, images: {base: "${{ stages.publish.image }}"}}
  rollout:
    needs: [files]
    deploy: {kustomize: k, images: {svc: "${{ stages.svc['cart'].image }}"}, namespace: n, name: it, onFailure: rollback, adopt: true, force: [spec.replicas], readiness: [{kind: Certificate, name: web-*, ready: self.a, failed: self.b, need: optional}], patches: [{target: {kind: K, name: n, group: g, version: v1, namespace: n, labelSelector: a=b}, patch: [{op: replace, "path": /spec/x, value: "${{ vars.copies }}"}]}], secrets: {db: {type: Opaque, data: {P: "${{ vars.token }}"}}}}
  smoke:
    needs: [rollout]
    verify:
      http:
        url: http://web
        in: cluster
        method: GET
        headers: {X-A: b}
        status: 200
        header: {X-B: c}
        body: {contains: ok, regex: o.}
        within: 1m
  migrate:
    exec:
      in: cluster
      image: ${{ stages.publish.image }}
      envFrom: [{secret: db}, {configMap: c}]
      serviceAccount: a
      resources: {requests: {cpu: 1m}, limits: {memory: 1Mi}}
      rerun: true
  checked:
    verify: {exec: {image: "${{ stages.base.image }}"}}
release: {repository: r.example/shop/releases}
registries: {"localhost:5000": {http: true, mirrors: [r.example/mirror], pullAs: r.example/local}}
outputs:
  address: ${{ stages.publish.ref }} ${{ stages.svc['cart'].ref }} ${{ vars.registry }} ${{ vars.grade }}
`

// TestTypos misspells every key of the examples, one at a time: that is one
// error, on that word, and what it suggests mends the file.
func TestTypos(t *testing.T) {
	files := map[string]string{"everything": everything}
	examples, err := filepath.Glob("../../examples/*/slipway.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatal("no examples", err)
	}
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	known := keywords(t)
	met := map[string]bool{}
	for name, text := range files {
		if err := stillValid(name, text); err != nil {
			t.Fatal(err)
		}
		for _, at := range keyPattern.FindAllStringIndex(text, -1) {
			word, _, _ := strings.Cut(text[at[0]:at[1]], ":")
			if !known[word] || comment(text, at[0]) {
				continue
			}
			met[word] = met[word] || name == "everything"
			for _, typo := range typos(word, known) {
				broken := text[:at[0]] + typo + text[at[0]+len(word):]
				if problem := mended(name, text, broken, at[0], word, typo); problem != "" {
					t.Errorf("%s, %s for %s at byte %d: %s", filepath.Base(filepath.Dir(name)), typo, word, at[0], problem)
				}
			}
		}
	}
	for w := range known {
		if !met[w] {
			t.Errorf("everything lacks the key %s", w)
		}
	}
}

// keywords returns the words of the language that can be keys: the names of
// properties in its schema. Words that users make up in the files of this test must
// not be among them.
func keywords(t *testing.T) map[string]bool {
	words := map[string]bool{}
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, el := range v {
				visit(el)
			}
		case map[string]any:
			for key, el := range v {
				if properties, ok := el.(map[string]any); ok && key == "properties" {
					for name := range properties {
						words[name] = true
					}
				}
				visit(el)
			}
		}
	}
	visit(loadSchema(t).root)
	return words
}

func stillValid(name, text string) error {
	p := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	_, err := p.Parse(name, []byte(text))
	return err
}

// typos returns misspellings of word: a letter less, one twice, two swapped.
func typos(word string, known map[string]bool) []string {
	n := len(word)
	all := []string{word + word[n-1:], word[:1] + word}
	if n > 2 {
		all = append(all, word[:n-1], word[:n-2]+word[n-1:]+word[n-2:n-1])
	}
	var unlike []string
	for _, w := range all {
		if w != word && !known[w] {
			unlike = append(unlike, w)
		}
	}
	return unlike
}

// comment reports whether the byte at i is in a comment.
func comment(text string, i int) bool {
	return strings.Contains(text[strings.LastIndexByte(text[:i], '\n')+1:i], "#")
}

// mended says what is wrong with the errors of a broken text, or returns "".
func mended(name, text, broken string, at int, word, typo string) string {
	err := stillValid(name, broken)
	var list pipeline.ErrorList
	if !errors.As(err, &list) {
		return fmt.Sprint("it is not found: ", err)
	}
	if len(list) != 1 {
		return fmt.Sprintf("%d errors:\n%v", len(list), err)
	}
	line := 1 + strings.Count(broken[:at], "\n")
	col := at - strings.LastIndexByte(broken[:at], '\n')
	if got := list[0].Pos; got.Line != line || got.Col != col {
		return fmt.Sprintf("it stands at %d:%d:\n%v", line, col, err)
	}
	m := suggestion.FindStringSubmatch(list[0].Err.Error())
	if m == nil || m[1] != word {
		return fmt.Sprintf("it is not suggested:\n%v", err)
	}
	if fixed := broken[:at] + m[1] + broken[at+len(typo):]; fixed != text {
		return "what is suggested does not mend it"
	}
	return ""
}
