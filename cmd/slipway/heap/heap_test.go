package heap

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestSteer looks at whether the first limit goes after the first collection, which a
// limit that stayed would have follow each other without an end, and whether the
// percentage follows what lives from then on.
func TestSteer(t *testing.T) {
	debug.SetGCPercent(100) // what init has set
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOGC", "100")
	steer()
	if limit := debug.SetMemoryLimit(-1); limit == roomy {
		t.Error("what the user has set is not kept")
	}
	os.Unsetenv("GOGC") // t.Setenv puts back what was
	t.Setenv("GOMEMLIMIT", "off")
	os.Unsetenv("GOMEMLIMIT")
	steer()
	if limit := debug.SetMemoryLimit(-1); limit != roomy {
		t.Errorf("the limit is %d", limit)
	}
	collect := func(what string, done func() bool) {
		t.Helper()
		for began := time.Now(); !done(); runtime.GC() {
			if time.Since(began) > time.Minute {
				t.Fatal(what)
			}
			runtime.Gosched()
		}
	}
	collect("the limit stays", func() bool { return debug.SetMemoryLimit(-1) == math.MaxInt64 })
	is := func(want func(percent int) bool) func() bool {
		return func() bool {
			now := debug.SetGCPercent(100)
			debug.SetGCPercent(now)
			return want(now)
		}
	}
	collect("a small heap is collected often", is(func(p int) bool { return p > 200 }))
	ballast := make([]byte, 2*small)
	collect("a large heap is collected as seldom as a small one", is(func(p int) bool { return p == 50 }))
	runtime.KeepAlive(ballast)
	collect("a heap that was large is collected often", is(func(p int) bool { return p > 200 }))
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, 600},
		{4 << 20, 0, 500},
		{5 << 20, 0, 400}, // there may be 20 MiB of garbage
		{5 << 20, 5 << 20, 200},
		{11 << 20, 4 << 20, 133},
		{20 << 20, 0, 100},
		{24 << 20, 0, 83},
		{40 << 20, 0, 50},
		{1 << 40, 0, 50},
	} {
		if got := percent(c.live, c.roots); got != c.want {
			t.Errorf("%d bytes and %d: %d percent, want %d", c.live, c.roots, got, c.want)
		}
	}
}
