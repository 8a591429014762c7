package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

func (a *app) cache() *cobra.Command {
	c := &cobra.Command{
		Use: "cache", Short: "What builds keep on the disk, and how to have it back",
		RunE: func(*cobra.Command, []string) error {
			return usagef("what about the cache? (want slipway cache du or slipway cache prune)")
		},
	}
	c.AddCommand(a.cacheUsage(), a.cachePrune())
	return c
}

// cached is what is said of the cache of one builder.
type cached struct {
	Builder     string `json:"builder"`
	Records     int    `json:"records"`
	Bytes       int64  `json:"bytes"`
	Reclaimable int64  `json:"reclaimable,omitempty"`
	Free        int64  `json:"free,omitempty"` // of the disk, for our own builder
}

func (a *app) cacheUsage() *cobra.Command {
	c := &cobra.Command{
		Use: "du", Short: "Say how much the cache of builds takes", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.eachCache(func(w *world, m *solve.Member) (cached, error) {
				u, err := m.Usage(c.Context())
				if w.own != nil {
					u = u.Plus(w.noteUsage())
				}
				return cached{Builder: m.Name, Records: u.Records, Bytes: u.Bytes, Reclaimable: u.Reclaimable}, err
			}, func(u cached) string {
				return fmt.Sprintf("%s: %s in %d records, %s of it not in use", u.Builder, buildkit.Bytes(u.Bytes), u.Records, buildkit.Bytes(u.Reclaimable))
			})
		},
	}
	a.outputFlag(c, "json")
	return a.builderFlags(c)
}

func (a *app) cachePrune() *cobra.Command {
	var limit solve.Limit
	keep := ""
	c := &cobra.Command{
		Use: "prune", Short: "Remove from the cache of builds what nothing uses", Args: noArgs,
		Long: `Prune removes what nothing uses now from the cache of builds, and what is noted of
images for reports. Runs that build do so, too, when they end, every ten minutes at
most while the disk has room, with the limits that buildkitd has by default: they
follow from the size of the disk. Of notes they leave 4 MiB.`,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if limit.Keep, err = size(keep); err != nil {
				return usagef("--keep-storage %s: %w", keep, err)
			}
			return a.eachCache(func(w *world, m *solve.Member) (cached, error) {
				u, err := m.Prune(c.Context(), limit)
				if w.own != nil && err == nil {
					u = u.Plus(w.forget(limit))
				}
				return cached{Builder: m.Name, Records: u.Records, Bytes: u.Bytes}, err
			}, func(u cached) string {
				return fmt.Sprintf("%s: removed %s in %d records", u.Builder, buildkit.Bytes(u.Bytes), u.Records)
			})
		},
	}
	c.Flags().StringVar(&keep, "keep-storage", "0", "how much may stay, such as 500MiB or 10GiB")
	c.Flags().DurationVar(&limit.Age, "keep-duration", 0, "keep what was used within this time, such as 72h")
	c.Flags().BoolVar(&limit.All, "all", false, "also remove what BuildKit keeps for itself")
	a.outputFlag(c, "json")
	return a.builderFlags(c)
}

// eachCache asks every builder, and writes what it answered.
func (a *app) eachCache(ask func(*world, *solve.Member) (cached, error), line func(cached) string) (err error) {
	w := a.world()
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	all := []cached{}
	for _, m := range w.members {
		u, err := ask(w, m)
		if err != nil {
			return err
		}
		if disk, err := host.Space(m.Name); err == nil {
			u.Free = disk.Free
		}
		all = append(all, u)
	}
	if a.flags.output == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	for _, u := range all {
		text := line(u)
		if u.Free > 0 {
			text += fmt.Sprintf("; the disk has %s free", buildkit.Bytes(u.Free))
		}
		if _, err := fmt.Fprintln(a.stdout, text); err != nil {
			return err
		}
	}
	return nil
}

// size reads an amount of bytes: "10GiB", "500MB", "1024".
func size(text string) (int64, error) {
	number := strings.TrimRight(text, "KMGTiBkb")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("is no size (want one such as 500MiB or 10GiB)")
	}
	unit := strings.ToUpper(strings.TrimSpace(text[len(number):]))
	base := 1000.0
	if strings.Contains(unit, "I") {
		base = 1024
	}
	for _, prefix := range []string{"", "K", "M", "G", "T"} {
		if strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I") == prefix {
			return int64(n), nil
		}
		n *= base
	}
	return 0, fmt.Errorf("is no size (want one such as 500MiB or 10GiB)")
}
