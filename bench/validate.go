package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// validate checks files of more and more stages: the cost grows no faster than
// the file does.
func validate() Scenario {
	sizes := []int{10, 100, 1000, 10000}
	return Scenario{
		Name: "slipway validate",
		Make: func(slipway, dir string) ([]Case, error) {
			slipway, err := filepath.Abs(slipway)
			if err != nil {
				return nil, err
			}
			var cases []Case
			for _, n := range sizes {
				file := filepath.Join(dir, fmt.Sprintf("%d.yaml", n))
				if err := os.WriteFile(file, []byte(stages(n)), 0o644); err != nil {
					return nil, err
				}
				cases = append(cases, Case{Name: fmt.Sprintf("%d stages", n), Args: []string{slipway, "validate", "-f", file}, Dir: dir})
			}
			return cases, nil
		},
		Check: func(cpu []time.Duration) error {
			if cpu[2] > 300*time.Millisecond {
				return fmt.Errorf("%d stages cost %v (want at most 300ms)", sizes[2], cpu[2])
			}
			// What a start costs is in all of them. A quarter is for what is noise.
			each := float64(cpu[2]-cpu[0]) / float64(sizes[2]-sizes[0])
			most := time.Duration(1.25 * each * float64(sizes[3]-sizes[0]))
			if got := cpu[3] - cpu[0]; got > most {
				return fmt.Errorf("%d stages cost %v more than %d (want at most %v, ten times what %d do)", sizes[3], got, sizes[0], most, sizes[2])
			}
			return nil
		},
	}
}

// stages returns a pipeline file with n stages, as people write them.
func stages(n int) string {
	var b strings.Builder
	b.WriteString("slipway: v1\nname: bench\nvars: {registry: ghcr.io/acme}\nstages:\n  s0: {build: {context: base}}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "  s%d:\n    needs: [s%d]\n    build:\n      context: services/s%d\n      contexts: {base: \"${{ stages.s0.image }}\"}\n", i, i-1, i)
		fmt.Fprintf(&b, "      push: {repository: \"${{ vars.registry }}/s%d\", tags: [\"${{ git.slug }}\"]}\n", i)
	}
	return b.String()
}
