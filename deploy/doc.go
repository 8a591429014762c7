// Package deploy says what should be in a cluster, how it would change, and
// what became of it. The package itself is only words and what can be decided
// about them; deploy/kustomize makes objects from files, deploy/kube puts them
// into a cluster, deploy/rollout watches, judges and proves.
//
// # Owns
//
// [Object] and [Path], [Set], [Pin], [Change], [Status], [Verdict], the order of objects,
// the pinning of images, and the errors that others tell apart.
//
// # May touch
//
// The standard library. Nothing from k8s.io is imported here.
package deploy
