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

// clustered is what needs a cluster, beside a deploy.
const clustered = `  tested:
    exec: {image: "${{ stages.web.image }}", command: [/web, --selftest]}
  migrate:
    exec: {in: cluster, image: "${{ stages.web.image }}", env: {A: "a"}}
  smoke:
    needs: [rollout]
    verify: {http: {url: "http://web.other/x", in: cluster}}
  deep:
    needs: [smoke]
    verify: {http: {url: "http://${{ stages.web.digest }}", method: post, in: cluster}}
  outside:
    needs: [rollout]
    verify: {http: "http://web.example"}
`

func (f *fixture) planAs(t *testing.T, kinds []pipeline.Kind) *pipeline.Plan {
	t.Helper()
	text, err := readFile(f.dir, "slipway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parser := syntax.Parser{Kinds: kinds, Compiler: new(expr.Compiler)}
	p, err := parser.Parse(f.dir+"/slipway.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := new(engine.Planner).Plan(t.Context(), p, pipeline.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestUndeployed checks that a run without a deploy builds, tests and pushes, and
// leaves all that needs a cluster.
func TestUndeployed(t *testing.T) {
	f := newFixture(t, shop+clustered)
	res, err := new(engine.Runner).Run(t.Context(), f.planAs(t, stages.Undeployed(f.world.Tools())))
	ends := ""
	for _, s := range res.Steps {
		ends += fmt.Sprintf("%s=%s ", s.ID, s.Status)
	}
	want := "base=ok api=ok unit=ok publish=ok web=ok rollout=skipped tested=ok migrate=skipped smoke=skipped deep=skipped outside=skipped"
	if err != nil || !sameWords(ends, want) {
		t.Errorf("got  %s, %v\nwant %s", ends, err, want)
	}
	for _, did := range f.world.Log {
		if strings.HasPrefix(did, "apply") || strings.HasPrefix(did, "start") || strings.HasPrefix(did, "ask") {
			t.Errorf("it did %q", did)
		}
	}
}

// TestSurvey checks that what a run asks of a cluster is found without one.
func TestSurvey(t *testing.T) {
	f := newFixture(t, shop+clustered)
	s := &stages.Survey{Namespace: "ours"}
	plan := f.planAs(t, s.Kinds(f.world.Tools()))
	if len(f.world.Log) > 0 {
		t.Errorf("it did %q", f.world.Log)
	}
	if len(s.Sets) != 1 || s.Sets[0].Name != "rollout" || s.Sets[0].Namespace != "ours" || len(s.Sets[0].Objects) == 0 {
		t.Errorf("sets are %+v", s.Sets)
	}
	if got, want := fmt.Sprint(s.Jobs), "[{ours false}]"; got != want {
		t.Errorf("Jobs are %s, want %s", got, want)
	}
	asks := []string{}
	for _, a := range s.Asks {
		asks = append(asks, a.Namespace+" "+a.Request.Method+" "+a.Request.URL)
	}
	if got, want := strings.Join(asks, ", "), "ours GET http://web.other/x, ours POST "; got != want {
		t.Errorf("requests are %q, want %q", got, want)
	}
	inside := ""
	for _, step := range plan.Steps {
		if s.Inside(step) {
			inside += string(step.ID) + " "
		}
	}
	if want := "rollout migrate smoke deep"; !sameWords(inside, want) {
		t.Errorf("inside are %s, want %s", inside, want)
	}
}
