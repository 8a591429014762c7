// Package heap lets the heap grow for a while before it is collected. It is imported
// for that alone.
//
// It does so while it is initialised, and is a package of its own for that: Go
// initialises packages that import little first, and those with a BuildKit or a
// Kubernetes below them would else be collected twice before main begins, which is a
// fifth of what a start costs.
//
// # Owns
//
// When Go collects for the first time.
//
// # May touch
//
// The settings of Go's collector, unless the user has set them.
package heap

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

func init() { growFreely() }

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
