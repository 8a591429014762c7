// Package pipeline defines the words slipway is spoken in: a [Pipeline] is what
// the user wrote, a [Plan] is what a run will do, an [Event] is what a run did,
// and a [Release] is what came of it. It holds values and the rules between
// them, nothing else.
//
// A run flows one way:
//
//	syntax.Parse → Pipeline → engine.Plan → Plan → engine.Run → Events, Release
//
// # Owns
//
// Stages and their graph, types and values, promises between stages, source
// positions and the errors that carry them.
//
// # May touch
//
// The standard library. No files, no network, no goroutines, no clocks.
package pipeline
