// Package schema says what an API server would refuse, without one.
//
// # Owns
//
// [Validator]. Built-in kinds are compared with the Go types of k8s.io/api,
// which the rest of slipway links anyway; they are walked here and not decoded,
// so that every mistake is found at once, each with the path of its field.
// Custom resources are compared with the CustomResourceDefinitions among the
// objects: their structural schema and their CEL rules.
//
// It errs to one side: what it finds, a server refuses; what it cannot judge
// (a kind that nothing here defines, a rule with a function it does not know)
// passes, and the server says.
//
// # May touch
//
// Nothing: objects go in, errors come out. Of ours it imports deploy.
package schema
