package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

// roomyHeap is how far the heap grows before it is collected for the first time.
// Most commands end before that. Go's own 4 MiB would be collected dozens of times
// while a pipeline file is read.
const roomyHeap = 32 << 20

// growFreely lets the heap grow to roomyHeap once, and then be collected as Go
// does it by itself. What the user has set in Go's own variables stays.
func growFreely() {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return
		}
	}
	percent := debug.SetGCPercent(-1)
	debug.SetMemoryLimit(roomyHeap)
	type mark struct{ _ *byte } // not so small that it shares its block with what lives
	runtime.AddCleanup(&mark{}, func(percent int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, percent)
}
