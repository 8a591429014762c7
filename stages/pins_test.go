package stages_test

import (
	"fmt"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/stages"
)

// Of many services, each with its own deploy, each deploy is checked against what it runs.
func TestCheckPinsGrowth(t *testing.T) {
	allocs := func(n int) float64 {
		plan := &pipeline.Plan{}
		for i := range n {
			repository := fmt.Sprintf("r.example/s%d", i)
			build, roll := pipeline.ID(fmt.Sprintf("b%d", i)), pipeline.ID(fmt.Sprintf("r%d", i))
			plan.Steps = append(plan.Steps,
				pipeline.Step{ID: build, Action: pipeline.Action{Outputs: map[string]pipeline.Value{"repository": pipeline.Known(repository)}}},
				pipeline.Step{ID: roll, Needs: []pipeline.Need{{Stage: build}}, Action: pipeline.Action{Uses: []string{repository, "r.example/base"}}})
		}
		if err := stages.CheckPins(plan); err != nil {
			t.Fatal(err)
		}
		plan.Steps[1].Needs = nil
		if err := stages.CheckPins(plan); err == nil {
			t.Fatal("a stage that does not come after what it runs is not found")
		}
		return testing.AllocsPerRun(1, func() { _ = stages.CheckPins(plan) })
	}
	if few, many := allocs(200), allocs(2000); many > 12*few {
		t.Errorf("ten times as many services: %.0f allocations, and %.0f; want no more than twelve times as many", few, many)
	}
}
