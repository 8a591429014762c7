// Package syntax reads pipeline files.
//
// # Owns
//
// The YAML format: its keys, the positions of everything that is written, and
// errors that say what to type instead. All errors of a file come at once.
//
// # May touch
//
// Package pipeline, the YAML library, and the bytes it is given.
package syntax
