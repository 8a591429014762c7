//go:build linux

// Package embed starts a solver of our own, a whole buildkitd without a daemon,
// and returns a dialer for it, nothing else.
//
// With CAP_SYS_ADMIN the solver runs in this process and is spoken to through
// memory. Without, a child of the same binary runs it as root of a user
// namespace of its own, and is spoken to through sockets that are handed to it;
// credentials stay with the parent. What the child needs of privileges it gets
// from newuidmap, where that is installed; else it has one user id, which is
// enough for images that only root owns.
//
// A program that uses a Solver calls [Child] before anything else: the same
// binary plays the child, and stands before runc where runc needs help.
//
// # Owns
//
// The state folder and the lock on it, the child, runc, and the sweeping up
// after a run that was killed.
//
// # May touch
//
// The state folder, mounts and containers that lie in it, namespaces, and the
// registries that a build names. On a machine that can not build it returns a
// *buildkit.HostError that says what would let it.
package embed
