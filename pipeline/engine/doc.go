// Package engine plans and runs the graph of a pipeline.
//
// # Owns
//
// Everything concurrent: order, parallelism, skips, retries, timeouts,
// cancellation, and the promise that a Sink sees one event at a time.
//
// # May touch
//
// Package pipeline and the clock. It never looks inside an action.
package engine
