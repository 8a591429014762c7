// Package expr puts CEL behind pipeline.Expr: expressions are parsed, checked
// against the names of the file, and evaluated when what they mention is known.
//
// # Owns
//
// The syntax of "${{ … }}", the functions that expressions may call, and the
// errors that say what to write instead. See https://cel.dev for the language.
//
// # May touch
//
// Package pipeline and cel-go, which is imported nowhere else.
package expr
