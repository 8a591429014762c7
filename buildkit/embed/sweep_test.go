//go:build linux

package embed

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSweepTemp(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-2 * tempAge)
	for name, old := range map[string]bool{"buildkit-mount1": true, "buildkit-mount2": false, "buildkit-mount3/full": true, "other": true} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if old {
			top := filepath.Join(dir, filepath.Dir(name+"/x"))
			if err := os.Chtimes(top, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "buildkit-mount3"), long, long); err != nil {
		t.Fatal(err)
	}
	sweepTemp(dir)
	for name, stays := range map[string]bool{"buildkit-mount1": false, "buildkit-mount2": true, "buildkit-mount3/full": true, "other": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v, want it there: %v", name, err, stays)
		}
	}
}
