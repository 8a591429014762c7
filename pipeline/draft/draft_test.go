package draft_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/draft"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// drafted looks at files, and parses what comes of it.
func drafted(t *testing.T, files map[string]string) (*draft.Draft, *pipeline.Pipeline, string) {
	t.Helper()
	d, err := draft.Look(tree(files))
	if err != nil {
		t.Fatal(err)
	}
	text := d.YAML(draft.Name("My Shop"), "x")
	parser := syntax.Parser{Kinds: stages.Kinds(stages.Tools{}), Compiler: new(expr.Compiler)}
	p, err := parser.Parse("slipway.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d, p, string(text)
}

func deployment(image string) string {
	return "kind: Deployment\nspec: {template: {spec: {containers: [{name: x, image: \"" + image + "\"}]}}}\n"
}

func TestDraft(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  map[string]string
		stages string   // ids, in order
		has    []string // in the text
		notes  []string
	}{
		{
			name: "nothing", files: map[string]string{"README.md": "hello"},
			stages: "app", has: []string{"# push:", "# rollout:"},
		},
		{
			name: "one", files: map[string]string{"Dockerfile": "FROM scratch"},
			stages: "app", has: []string{"context: .\n", `push: "${{ vars.registry }}/app"`, "localhost:5000/my-shop"},
		},
		{
			name: "two levels, no deeper", files: map[string]string{
				"services/cart/Dockerfile": "FROM scratch", "a/b/c/Dockerfile": "FROM scratch",
				"node_modules/x/Dockerfile": "FROM scratch", ".ci/Dockerfile": "FROM scratch", "docker/Dockerfile.worker": "FROM scratch", "docker/Dockerfile.dockerignore": "x",
			},
			stages: "worker cart", has: []string{"context: services/cart\n", "dockerfile: Dockerfile.worker\n"},
		},
		{
			name: "context is the root, as COPY says", files: map[string]string{
				"docker/Dockerfile": "FROM golang AS b\nCOPY --from=x /a /b\nCOPY go.mod ./\n", "go.mod": "module x",
			},
			stages: "docker", has: []string{"context: .\n", "dockerfile: docker/Dockerfile\n"},
		},
		{
			name: "bases, also in a circle", files: map[string]string{
				"base/Dockerfile": "FROM scratch", "my-api/Dockerfile": "from base as b\nFROM b\nFROM other",
				"other/Dockerfile": "FROM my-api",
			},
			stages: "base my-api other", has: []string{`base: "${{ stages.base.image }}"`},
		},
		{
			name: "compose", files: map[string]string{
				"docker-compose.yml": `
services:
  db: {image: postgres}
  web: {build: ./web, image: "ghcr.io/acme/web:v1"}
  worker:
    build: {context: web, dockerfile: worker.Dockerfile, target: run, args: {A: "1", B: "${X}", C: "a ${{ b }}"}}
  list: {build: {context: web, target: t, args: [D=on, E]}}
  far: {build: "https://example.com/x.git"}
  up: {build: ../x}
  var: {build: "${DIR}"}
  gone: {build: gone}
  odd: {build: [a]}
`, "web/Dockerfile": "FROM scratch", "web/worker.Dockerfile": "FROM scratch",
			},
			stages: "list web worker",
			has:    []string{"from docker-compose.yml, service web", "target: run\n", `A: "1"`, `D: "on"`, "default: ghcr.io/acme,"},
			notes:  []string{"service far", "service up", "service var", "service gone", "service odd", "arg B of worker", "arg C of worker"},
		},
		{
			name: "compose that is broken", files: map[string]string{"compose.yaml": "services: [", "Dockerfile": "FROM scratch"},
			stages: "app", notes: []string{"compose.yaml"},
		},
		{
			name: "skaffold", files: map[string]string{
				"skaffold.yaml": `
build:
  artifacts:
  - {image: eu.gcr.io/p/cart, context: src/cart, docker: {dockerfile: build/Dockerfile, target: x, buildArgs: {GO: "1.20"}}}
  - {image: web, context: web}
  - {image: java, jib: {}}
`, "src/cart/build/Dockerfile": "FROM scratch", "web/Dockerfile": "FROM scratch",
			},
			stages: "cart web", has: []string{"default: eu.gcr.io/p,", "dockerfile: build/Dockerfile", `GO: "1.20"`}, notes: []string{"artifact java is built with jib"},
		},
		{
			name: "overlays become environments, production last", files: map[string]string{
				"web/Dockerfile":                           "FROM scratch",
				"deploy/base/kustomization.yaml":           "resources: [web.yaml]",
				"deploy/base/web.yaml":                     deployment("web:latest") + "---\n" + deployment("docker.io/redis"),
				"deploy/overlays/prod/kustomization.yaml":  "namespace: shop\nresources: [../../base]",
				"deploy/overlays/stage/kustomization.yaml": "resources: [../../base]\nimages: [{name: web, newName: ghcr.io/acme/web}]",
				"deploy/overlays/qa/kustomization.yml":     "resources: [../../base]",
			},
			stages: "web rollout",
			has: []string{
				`kustomize: "deploy/overlays/${{ environment.name }}"`, "qa: {}\n  stage: {}\n  prod: {namespace: shop}",
				`ghcr.io/acme/web: "${{ stages.web.image }}"`, "default: ghcr.io/acme,",
			},
		},
		{
			name: "folders of services are no environments", files: map[string]string{
				"services/cart/Dockerfile": "FROM scratch", "services/cart/k8s/kustomization.yaml": "resources: [cart.yaml]", "services/cart/k8s/cart.yaml": deployment("acme/cart"),
				"services/pay/Dockerfile": "FROM scratch", "services/pay/k8s/kustomization.yaml": "resources: [gone.yaml]",
			},
			stages: "cart pay rollout rollout-pay", has: []string{"kustomize: services/cart/k8s\n", "No container was seen"},
		},
		{
			name: "hostile names", files: map[string]string{
				"a ${{ x }}\n'\"/Dockerfile": "FROM scratch", "123/Dockerfile": "FROM scratch", "yes/Dockerfile": "FROM scratch", "on/kustomization.yaml": "namespace: \"1e3\"",
				"ÄÖ/Dockerfile": "FROM scratch", "a-b/Dockerfile": "FROM scratch", "a b/Dockerfile": "FROM scratch",
			},
			stages: "app-123 a-b a-b-2 a-x yes app rollout",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, p, text := drafted(t, tt.files)
			var ids []string
			for _, st := range p.Stages {
				ids = append(ids, string(st.ID))
			}
			if got := strings.Join(ids, " "); len(ids) != len(strings.Fields(tt.stages)) || tt.name != "hostile names" && got != tt.stages {
				t.Errorf("stages %q, want %q\n%s", got, tt.stages, text)
			}
			for _, want := range tt.has {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in:\n%s", want, text)
				}
			}
			if notes := strings.Join(d.Notes, "\n"); len(d.Notes) != len(tt.notes) {
				t.Errorf("notes:\n%s\nwant of %q", notes, tt.notes)
			} else {
				for _, want := range tt.notes {
					if !strings.Contains(notes, want) {
						t.Errorf("no note of %q in:\n%s", want, notes)
					}
				}
			}
		})
	}
}

// FuzzDraft reads files of other tools that say anything: the draft is valid.
func FuzzDraft(f *testing.F) {
	f.Add("services: {web: {build: ., image: 'a/b'}}", "build: {artifacts: [{image: x, context: .}]}", "FROM base", "resources: [a.yaml]", "containers: [{image: x}]")
	f.Fuzz(func(t *testing.T, compose, skaffold, docker, kustomization, manifest string) {
		_, _, _ = drafted(t, map[string]string{
			"compose.yaml": compose, "skaffold.yaml": skaffold, "Dockerfile": docker, "base/Dockerfile": docker,
			"deploy/kustomization.yaml": kustomization, "deploy/a.yaml": manifest,
		})
	})
}
