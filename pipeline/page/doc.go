// Package page tells what a run was going to do, did, and what became of it, in
// one document: [Report]. It is JSON for programs, and a page, Markdown or JUnit
// for people and for what people use.
//
// # Owns
//
// The format of report.json, which docs/reports.md describes, and that nothing in
// a page runs but the script that is part of it.
//
// # May touch
//
// Packages pipeline and pipeline/report, and the io.Writer it is given.
package page
