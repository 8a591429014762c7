// Package kube makes a cluster hold what a [deploy.Set] says: it identifies the
// cluster, tells what would change, applies it, and keeps an inventory, a Lease
// and a history.
//
// # Owns
//
// [Cluster]: the connection to one cluster, and what it reads and writes there.
// The marks that slipway leaves on objects: its labels, its field manager, and
// the ApplySet that lists what belongs to a deployment. [Turn]: what may be done
// while nobody else changes a deployment. The Secrets that hold its revisions.
//
// # May touch
//
// The network (one API server), the kubeconfig and what it names. Identity and
// Diff only read, where a server-side dry-run counts as reading; Apply, Lock, Hold
// and Unlock write.
// Of ours it imports deploy.
package kube
