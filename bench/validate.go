package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// validate checks files of more and more stages: the cost grows no faster than
// the file does.
func validate(ctx context.Context, b *Bench) error {
	sizes := []int{10, 100, 1000, 10000}
	all := make([]*Series, len(sizes))
	for i, n := range sizes {
		file := filepath.Join(b.Dir, fmt.Sprintf("%d.yaml", n))
		if err := os.WriteFile(file, []byte(stages(n)), 0o644); err != nil {
			return err
		}
		s, err := b.Compare(ctx, fmt.Sprintf("%d stages", n), n, Case{Name: "slipway", Args: []string{b.Slipway, "validate", "-f", file}, Dir: b.Dir})
		if err != nil {
			return err
		}
		all[i] = s[0]
	}
	b.aim("CPU-seconds for 1000 stages", all[2].cpu(), 0.3)
	// What a start costs is in all of them. Of a thousand stages no garbage is collected, of
	// ten thousand a quarter of the time goes there; as much again is for what is noise.
	b.promise("growth, 1000 to 10000 stages", (all[3].cpu()-all[0].cpu())/float64(sizes[3]-sizes[0])/((all[2].cpu()-all[0].cpu())/float64(sizes[2]-sizes[0])), 1.5)
	return nil
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
