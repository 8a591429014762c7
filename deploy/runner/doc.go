// Package runner makes the objects with which slipway runs in a cluster: accounts,
// roles, and the Jobs of a builder, which may do nothing there, and of a deployer,
// which may do what the manifests need and has no privilege on its node. All that
// goes from one to the other is a release, in a registry.
//
// # Owns
//
// What these objects look like, and what they are called.
//
// # May touch
//
// Package deploy, for its words. No cluster and no files.
package runner
