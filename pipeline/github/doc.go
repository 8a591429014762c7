// Package github speaks to the runner of GitHub Actions: groups, annotations,
// masks, outputs and the step summary. What the runner obeys is in
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
// and in its sources, ActionCommand.cs and FileCommandManager.cs.
//
// # Owns
//
// The two syntaxes of commands, and that no text which is not ours is taken for
// one: "::name::" at the start of a line, "##[name]" anywhere.
//
// # May touch
//
// Packages pipeline and pipeline/report, the io.Writer it is given, and the files
// that the runner names.
package github
