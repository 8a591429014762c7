// Package buildkit says what to build and what came of it. The package itself
// is only words; buildkit/solve speaks with a solver, buildkit/embed starts one
// inside our own process, and buildkit/registry carries images to and fro.
//
// # Owns
//
// [Spec], [Command], [Image], [Inputs], [Progress] and the errors of a build.
//
// # May touch
//
// The standard library. Nothing from moby is imported here, so code that talks
// about builds compiles anywhere and in no time.
package buildkit
