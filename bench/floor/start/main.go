// Command start does what cannot be left out by a program with slipway's libraries in it: it
// is loaded, initialises their packages, and ends. Its peak of memory and its CPU time are
// the floor of P14.
package main

import "github.com/slipway-ci/slipway/bench/floor/linked"

func main() { linked.Keep() }
