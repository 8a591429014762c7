// Package draft writes the first pipeline file for a folder, from what lies in it.
//
// # Owns
//
// What is recognised (Dockerfiles, compose and skaffold files, kustomizations),
// and the words of the draft. What it cannot make sense of becomes a note, never
// a guess that a run would trip over.
//
// # May touch
//
// Package pipeline, the YAML library, and the files it is given; it writes none.
package draft
