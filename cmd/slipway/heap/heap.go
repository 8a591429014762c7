// Package heap says when the heap is collected: seldom while it is small, and before
// there is much garbage when it is large. It is imported for that alone.
//
// It does so while it is initialised, and is a package of its own for that: Go
// initialises packages that import little first, and those with a BuildKit or a
// Kubernetes below them would else be collected twice before main begins, which is a
// fifth of what a start costs.
//
// # Owns
//
// When Go collects.
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
	"runtime/metrics"
)

const (
	// roomy is how large a heap is that is collected for the first time. Most commands
	// end before that; Go's own 4 MiB would be collected dozens of times while a pipeline
	// file is read.
	roomy = 32 << 20
	// small is a heap that is left alone afterwards.
	small = 24 << 20
	// room is for the garbage of a heap that is no longer small.
	room = 20 << 20
)

func init() { steer() }

// steer lets the heap grow to roomy, and then as percent says after each collection. What
// the user has set in Go's own variables stays.
func steer() {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if _, set := os.LookupEnv(name); set {
			return
		}
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(roomy)
	afterwards(func() { debug.SetMemoryLimit(math.MaxInt64) })
}

// afterwards calls first after the next collection, and has the percentage follow what
// lives, then and after each that comes later.
func afterwards(first func()) {
	type mark struct{ _ *byte } // not so small that it shares its block with what lives
	runtime.AddCleanup(&mark{}, func(first func()) {
		debug.SetGCPercent(percent(left()))
		first()
		afterwards(func() {})
	}, first)
}

// left returns how many bytes of the heap the last collection left, and how many more
// there are that it begins from: Go takes a percentage of both.
func left() (live, roots uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64() + samples[2].Value.Uint64()
}

// percent returns how much garbage there may be before the next collection, per hundred
// bytes of live and roots. (Beyond 600, Go would leave more than small alone: 4 MiB are
// its least for a hundred.)
func percent(live, roots uint64) int {
	garbage := max(small-min(live, small), room)
	return int(min(600, max(50, garbage*100/max(1, live+roots))))
}
