// Package host says whether a machine can build images, and what would let it.
//
// # Owns
//
// [Machine]: what of a machine matters to a build. [Machine.Findings]: pure
// judgements over it, each with its cure. [Look]: the machine that we are on.
//
// # May touch
//
// Package buildkit. Look reads /proc, /sys, /etc and the state folder, and makes
// one user namespace, which ends at once. Nothing is changed.
package host
