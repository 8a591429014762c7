package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/facts"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
	"github.com/slipway-ci/slipway/stages/stagestest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestExamples plans every example for each of its environments, with real
// manifests and a world in memory, and compares with the golden plan beside it.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/slipway.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := parseOffline(file, text)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, env := range environmentsOf(p) {
				plan, err := planOffline(t.Context(), p, env, "v1.4.2")
				if err != nil {
					t.Fatal(err)
				}
				if err := report.Plan(&got, plan); err != nil {
					t.Fatal(err)
				}
				got.WriteString("\n")
			}
			golden(t, filepath.Join(filepath.Dir(file), "plan.golden"), got.Bytes())
		})
	}
}

// TestUntagged plans the example of release tags at a commit without one: what
// would be an error there is not evaluated.
func TestUntagged(t *testing.T) {
	const file = "../../examples/release/slipway.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseOffline(file, text)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planOffline(t.Context(), p, pipeline.Environment{}, "")
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, e := range plan.Steps[0].Effects {
		if e.Verb == "tag" {
			tags = append(tags, e.Object)
		}
	}
	if want := []string{"ghcr.io/acme/greeter:main"}; !slices.Equal(tags, want) {
		t.Errorf("got %q, want %q", tags, want)
	}
}

// cuda is the base image of examples/data.
const cuda = "ghcr.io/acme/cuda:12@sha256:e636c973d999a634277daa3a43db4adb0e7fde4ef22d47c8e833adb29bd2e99f"

// parseOffline parses a file whose stages work with a world in memory, and with
// the real manifests beside it.
func parseOffline(file string, text []byte) (*pipeline.Pipeline, error) {
	world := &stagestest.World{Images: map[string]string{cuda: cuda[strings.Index(cuda, "sha256:"):]}}
	tools := world.Tools()
	tools.Renderer = new(renderer)
	parser := syntax.Parser{Kinds: stages.Kinds(tools), Compiler: new(expr.Compiler)}
	return parser.Parse(file, text)
}

// environmentsOf returns those of p, or one without a name.
func environmentsOf(p *pipeline.Pipeline) []pipeline.Environment {
	if len(p.Environments) == 0 {
		return []pipeline.Environment{{}}
	}
	return p.Environments
}

// planOffline plans p at a commit that has the tag, with some value for each
// secret, and for each var that has to be set.
func planOffline(ctx context.Context, p *pipeline.Pipeline, env pipeline.Environment, tag string) (*pipeline.Plan, error) {
	flags := map[string]string{}
	for _, v := range p.Vars {
		switch {
		case v.Type == pipeline.Secret:
			flags[v.Name] = "example of a secret"
		case v.Default == nil && !v.Optional:
			flags[v.Name] = "v1.4"
		}
	}
	vars, err := p.Resolve(env, pipeline.Outside{Flags: flags})
	if err != nil {
		return nil, err
	}
	plan, err := new(engine.Planner).Plan(ctx, p, pipeline.Scope{Environment: env, Facts: map[string]any{
		"vars": vars, "environment": map[string]any{"name": env.Name, "namespace": env.Namespace},
		"git":  map[string]any{"sha": strings.Repeat("5294b33", 6)[:40], "short": "5294b33", "branch": "main", "slug": "main", "tag": tag, "describe": "v1.4.2", "dirty": false, "epoch": 1},
		"ci":   map[string]any{"name": "", "run": "", "url": ""},
		"dirs": facts.Dirs(p.Dir),
	}})
	if err != nil {
		return nil, err
	}
	return plan, stages.CheckPins(plan)
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s\n(make golden writes it anew)", got, want)
	}
}

var fence = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestDocs parses and plans every pipeline that README and docs show, for each of
// its environments, in a world where every folder that it names is.
func TestDocs(t *testing.T) {
	for name, block := range blocks(t) {
		world := &stagestest.World{Images: map[string]string{"docker.io/library/busybox": "sha256:" + strings.Repeat("b", 64)}}
		tools := world.Tools()
		written := new(manifests)
		for _, m := range pinned.FindAllStringSubmatch(block, -1) {
			written.images = append(written.images, m[1])
		}
		tools.Inputs, tools.Renderer = sources{}, written
		parser := syntax.Parser{
			Kinds: stages.Kinds(tools), Compiler: new(expr.Compiler),
			Read: func(string) ([]byte, error) { return nil, nil }, // an empty file
		}
		p, err := parser.Parse(name, []byte(block))
		if err != nil {
			t.Errorf("%v\n%s", err, block)
			continue
		}
		for _, env := range environmentsOf(p) {
			if _, err := planOffline(t.Context(), p, env, "v1.4.2"); err != nil {
				t.Errorf("%s: environment %q: %v\n%s", name, env.Name, err, block)
			}
		}
	}
}

// pinned finds the first name in images: of a deploy.
var pinned = regexp.MustCompile(`images: \{([^:]+):`)

// sources are the folders of builds that docs write about.
type sources struct{}

// Inputs stand for the words of the spec alone.
func (sources) Inputs(_ context.Context, spec buildkit.Spec) (buildkit.Inputs, error) {
	key := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, spec.Context, spec.Git, spec.DockerfileName(), spec.Target)))
	return buildkit.Inputs{Key: key, Context: spec.Context, Contexts: spec.Contexts}, nil
}

// Parts are none.
func (sources) Parts(context.Context, buildkit.Spec) (buildkit.Parts, error) { return nil, nil }

// Folder stands for the folder's name.
func (sources) Folder(_ context.Context, dir string, _ []string) (string, error) { return dir, nil }

// manifests are those of the deploys that docs write about: whatever the folder is,
// one Deployment that names the images and every other thing which is mentioned.
type manifests struct {
	renderer
	images []string
}

// Render makes a container for each image.
func (a *manifests) Render(context.Context, string) ([]deploy.Object, error) {
	containers := []any{}
	for i, image := range a.images {
		containers = append(containers, map[string]any{"name": fmt.Sprint("c", i), "image": image})
	}
	return []deploy.Object{{File: "deployment.yaml", Line: 1, Body: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "namespace": "shop", "labels": map[string]any{"tier": "front"}},
		"spec": map[string]any{"replicas": 1, "template": map[string]any{"spec": map[string]any{
			"containers": containers, "imagePullSecrets": []any{map[string]any{"name": "pull"}, map[string]any{"name": "db"}},
		}}},
	}}}, nil
}

// blocks returns the pipelines that README and docs show, by where they stand. A
// block that is not a whole file is one of its sections.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatchIndex(text, -1) {
			name := fmt.Sprintf("%s, block on line %d", file, 1+bytes.Count(text[:m[0]], []byte("\n")))
			all[name] = whole(string(text[m[2]:m[3]]))
		}
	}
	if len(all) == 0 {
		t.Fatal("no blocks found")
	}
	return all
}

// whole makes a pipeline file of one of its sections.
func whole(block string) string {
	if !strings.HasPrefix(block, "slipway:") && !strings.Contains(block, "\nslipway:") {
		block = "slipway: v1\nname: docs\n" + block
	}
	if !strings.Contains(block, "\nstages:") {
		block += "stages: {it: {build: {}}}\n"
	}
	return block
}
