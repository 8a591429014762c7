// Package solve speaks with a buildkitd: ours, a remote one, it is the same. It
// turns a [buildkit.Spec] into a solve, follows its progress, says where it
// failed in the user's own Dockerfile, runs commands inside what was built, and
// reads content by digest.
//
// # Owns
//
// Every word said to a buildkitd: what of a folder is sent and how it is made
// the same on any machine, the options that make a digest repeat, sessions with
// credentials and secrets, and the reading of errors and progress.
//
// # May touch
//
// The build context and Docker's credentials, both read only, and the buildkitd
// behind [Builder.Dial]. It starts no process and writes no file.
package solve
