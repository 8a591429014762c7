package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/slipway-ci/slipway/pipeline"
)

// ReleaseJSON writes a release as JSON.
func ReleaseJSON(w io.Writer, rel *pipeline.Release) error {
	return writeJSON(w, rel)
}

// Conclusion writes what came of a run, for a person: the images that it has,
// then the verdicts, the worst at the end, where the eye is.
func Conclusion(w io.Writer, plan *pipeline.Plan, rel *pipeline.Release) {
	effects := map[pipeline.ID]pipeline.Step{}
	for _, s := range plan.Steps {
		effects[s.ID] = s
	}
	var good, bad []string
	did := 0
	for _, s := range rel.Steps {
		if s.Status == pipeline.StatusOK && len(effects[s.ID].Effects) > 0 {
			did++
		}
		if img, ok := s.Outputs["image"].(pipeline.ImageRef); ok && img.Repository != "" {
			how := "pushed"
			if s.Status == pipeline.StatusReused {
				how = "reused"
			}
			good = append(good, fmt.Sprintf("%s  %s  %s", s.ID, how, img.Ref()))
		}
	}
	for _, s := range rel.Steps {
		for _, v := range s.Verdicts {
			if v.Status == pipeline.StatusFailed {
				bad = append(bad, v.Text)
			} else {
				good = append(good, v.Text)
			}
		}
	}
	out := bufio.NewWriter(w) // whoever reads this is not woken for each line
	defer out.Flush()
	for _, l := range append(good, bad...) {
		fmt.Fprintln(out, Tame(l))
	}
	for _, name := range pipeline.Keys(rel.Outputs) {
		fmt.Fprintf(out, "output %s = %s\n", name, Tame(fmt.Sprint(rel.Outputs[name])))
	}
	if did == 0 && rel.Status == pipeline.StatusOK {
		fmt.Fprintln(out, "nothing had to change")
	}
}
