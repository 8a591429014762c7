//go:build linux

package embed

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

func TestPruneDue(t *testing.T) {
	root := t.TempDir()
	roomy, full := []client.PruneInfo{{MinFreeSpace: 1}, {}}, []client.PruneInfo{{}, {MinFreeSpace: 1 << 62}}
	if !pruneDue(root, roomy) {
		t.Error("a cache that was never pruned is not due")
	}
	for _, row := range []struct {
		ago    time.Duration
		policy []client.PruneInfo
		want   bool
	}{
		{0, roomy, false},
		{pruneEvery - time.Minute, roomy, false},
		{pruneEvery + time.Second, roomy, true},
		{-time.Hour, roomy, true}, // as after a clock was set
		{0, full, true},
	} {
		at := time.Now().Add(-row.ago)
		if err := errors.Join(pruned(root), os.Chtimes(prunedOf(root), at, at)); err != nil {
			t.Fatal(err)
		}
		if got := pruneDue(root, row.policy); got != row.want {
			t.Errorf("%v ago, free %v: due %t, want %t", row.ago, row.policy, got, row.want)
		}
	}
	if err := pruned(root); err != nil || pruneDue(root, roomy) {
		t.Errorf("just pruned, and due: %v", err)
	}
}
