//go:build linux

package embed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/buildkit/client"
	bkconfig "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/disk"
)

const (
	// pruneTime is how long pruning may take; it is a part of closing.
	pruneTime = 2 * time.Second
	// pruneEvery is how often a cache is looked through for what may go. Where it has
	// thousands of records, that takes longer than a small build.
	pruneEvery = 10 * time.Minute
)

// prune keeps the cache within bounds: BuildKit's own default policy, but short.
// It never runs beside a build, so nothing that a later stage wants goes away.
func (s *server) prune(ctx context.Context) {
	policy := gcPolicy(s.cfg.Root)
	if !pruneDue(s.cfg.Root, policy) {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pruneTime, errors.New("pruning took too long"))
	defer cancel()
	freed := make(chan client.UsageInfo)
	go func() {
		for range freed { // nobody asks
		}
	}()
	err := s.work.Prune(ctx, freed, policy...)
	close(freed)
	if err != nil {
		return
	}
	_ = s.keys.ReleaseUnreferenced(ctx) // only makes the key database smaller
	_ = pruned(s.cfg.Root)              // else it is done once more than it need be
}

// keys is the database of keys. BuildKit goes through all of it when it starts, for keys
// of what is gone. We do so after pruning, when things go: a key that is looked up and
// whose result is gone is forgotten anyway.
type keys struct {
	solver.CacheKeyStorage
	opened bool // BuildKit has started
}

// Walk calls fn for each key.
func (k *keys) Walk(fn func(id string) error) error {
	if !k.opened {
		return nil
	}
	return k.CacheKeyStorage.Walk(fn)
}

// pruneDue reports whether a cache has not been pruned for a while, or the disk is full
// enough for that to make no difference.
func pruneDue(root string, policy []client.PruneInfo) bool {
	last, err := os.Stat(prunedOf(root))
	if err != nil {
		return true
	}
	if age := time.Since(last.ModTime()); age < 0 || age >= pruneEvery {
		return true
	}
	free, err := freeBelow(root)
	return err != nil || slices.ContainsFunc(policy, func(r client.PruneInfo) bool { return r.MinFreeSpace > 0 && uint64(r.MinFreeSpace) > free })
}

// pruned notes that a cache was pruned now.
func pruned(root string) error {
	now := time.Now()
	return errors.Join(os.WriteFile(prunedOf(root), nil, 0o600), os.Chtimes(prunedOf(root), now, now))
}

func prunedOf(root string) string { return filepath.Join(root, "pruned") }

// gcPolicy is buildkitd's own default for this disk.
func gcPolicy(root string) []client.PruneInfo {
	stat, err := disk.GetDiskStat(root)
	if err != nil {
		return nil
	}
	var policy []client.PruneInfo
	for _, rule := range bkconfig.DefaultGCPolicy(bkconfig.GCConfig{}, stat) {
		policy = append(policy, client.PruneInfo{
			Filter:        rule.Filters,
			All:           rule.All,
			KeepDuration:  rule.KeepDuration.Duration,
			ReservedSpace: rule.ReservedSpace.AsBytes(stat),
			MaxUsedSpace:  rule.MaxUsedSpace.AsBytes(stat),
			MinFreeSpace:  rule.MinFreeSpace.AsBytes(stat),
		})
	}
	return policy
}
