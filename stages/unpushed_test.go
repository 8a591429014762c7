package stages_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/pipeline/expr"
	"github.com/slipway-ci/slipway/pipeline/syntax"
	"github.com/slipway-ci/slipway/stages"
)

// TestUnpushed checks that a run without a push builds and tests everything, and
// changes no registry and no cluster.
func TestUnpushed(t *testing.T) {
	const more = `  tested:
    exec: {image: "${{ stages.web.image }}", command: [/web, --selftest]}
  migrate:
    exec: {in: cluster, image: "${{ stages.web.image }}"}
  smoke:
    verify: {http: {url: "http://web", in: cluster}}
  straight:
    needs: [web]
    deploy: {kustomize: other}
`
	f := newFixture(t, shop+more)
	f.write("other/web.image", "r.example/web")
	run := func() (string, error) {
		t.Helper()
		text, err := readFile(f.dir, "slipway.yaml")
		if err != nil {
			t.Fatal(err)
		}
		parser := syntax.Parser{Kinds: stages.Unpushed(f.world.Tools()), Compiler: new(expr.Compiler)}
		p, err := parser.Parse(f.dir+"/slipway.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := new(engine.Planner).Plan(t.Context(), p, pipeline.Scope{})
		if err != nil {
			return "", err
		}
		res, err := new(engine.Runner).Run(t.Context(), plan)
		ends := ""
		for _, s := range res.Steps {
			ends += fmt.Sprintf("%s=%s ", s.ID, s.Status)
		}
		return ends, err
	}
	got, err := run()
	want := "base=ok api=ok unit=ok publish=skipped web=ok rollout=skipped tested=ok migrate=skipped smoke=skipped straight=skipped"
	if err != nil || !sameWords(got, want) {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	for _, did := range f.world.Log {
		if !strings.HasPrefix(did, "build ") && !strings.HasPrefix(did, "exec ") {
			t.Errorf("it did %q", did)
		}
	}
	f.write("other/web.image", "")
	f.world.RegistryDown = true
	if got, err := run(); err != nil || !strings.Contains(got, "web=ok") {
		t.Errorf("without a registry: %s, %v", got, err)
	}
	if err := remove(f.dir, "other/web.image"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "no kustomization in other") {
		t.Errorf("manifests that are gone: %v", err)
	}
}
