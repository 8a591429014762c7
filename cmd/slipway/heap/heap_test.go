package heap

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestGrowFreely looks at whether Go collects as usual again after the first time:
// a limit that stayed would make it collect without an end.
func TestGrowFreely(t *testing.T) {
	debug.SetGCPercent(100) // what init has set
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOGC", "100")
	growFreely()
	if limit := debug.SetMemoryLimit(-1); limit == roomyHeap {
		t.Error("what the user has set is not kept")
	}
	os.Unsetenv("GOGC") // t.Setenv puts back what was
	t.Setenv("GOMEMLIMIT", "off")
	os.Unsetenv("GOMEMLIMIT")
	growFreely()
	if limit := debug.SetMemoryLimit(-1); limit != roomyHeap {
		t.Errorf("the limit is %d", limit)
	}
	for began := time.Now(); debug.SetMemoryLimit(-1) == roomyHeap; runtime.GC() {
		if time.Since(began) > time.Minute {
			t.Fatal("the limit stays")
		}
		runtime.Gosched()
	}
	if percent := debug.SetGCPercent(100); percent <= 0 {
		t.Errorf("then it is collected at %d percent", percent)
	}
}
