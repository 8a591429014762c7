// Package transfer brings a folder from who builds to a solver of slipway's own, over the
// session of the build.
//
// BuildKit's own way (tonistiigi/fsutil) takes a message for each file, one for each
// request and one for each piece, and tells by size and time what changed. Here the
// sender lists what there is, with the digest of each file; the receiver answers what it
// has not got; and that follows in one stream. So an edit that keeps a file's size costs
// that file, and nothing has to be looked at to know what is there.
//
// A solver that knows this says so with [Label], and a session with [Method]. All others
// go on as they are used to.
package transfer
