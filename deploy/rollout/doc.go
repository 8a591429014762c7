// Package rollout stays with what was applied until it can be proven or has
// failed. A pure judge reads one snapshot of objects and says, for each
// workload, green, red or not yet; watches feed it, and it is asked again at
// every change and whenever one of its own patiences runs out.
//
// # Owns
//
// [Watcher]; what each kind of workload calls its current pods (kinds.go and a
// file per kind); the proof that pods run what was pinned (proof.go); the table
// of rules that turn a workload red (rules.go); the watches (feed.go).
//
// # May touch
//
// deploy, for the words, and deploy/kube, for the connection. The cluster, to read it: the API server's lists,
// watches and logs. It writes nothing, anywhere.
//
// # Time
//
// A rule knows no clock. It says what it sees and how long that must last
// before it counts; the judge counts from the moment when this process first
// saw it, so clocks that differ between here and the cluster do no harm.
package rollout
