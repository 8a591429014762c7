// Package report turns plans, events and errors into something to look at.
//
// # Owns
//
// Every byte that a user sees of a run: text, JSON lines, the live view of a
// terminal, masking of secrets, and the taming of text that is not trusted.
//
// # May touch
//
// Package pipeline and the io.Writer it is given. It never runs anything.
package report
