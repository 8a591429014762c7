// Package inputs finds out what a build depends on, before it is built: the
// files of its context, its Dockerfile, its base images, and the key over all
// of it that decides between build and reuse.
//
// # Owns
//
// [Reader], the walk of a context, the encoding of the key, the list of images
// that a Dockerfile names, checkouts of git contexts, and [Memory]: what is
// remembered of files, commands and builds.
//
// # May touch
//
// Package buildkit, BuildKit's Dockerfile parser and its ignore rules. It reads
// the context's folder, asks whoever fills [Reader.Resolve], and runs git for git
// contexts; it writes to its own state folder alone.
package inputs
