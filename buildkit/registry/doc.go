// Package registry carries images between the builder's content store and
// registries, asks registries what they hold, and can be a small registry itself.
//
// # Owns
//
// [Client]: resolve, push, copy, and whether two digests are one image.
// [Server]: a registry over a folder. How often a registry is asked again, over
// what wire, and who gets to see credentials.
//
// # May touch
//
// Package buildkit and go-containerregistry, which nothing else here imports.
// The network; Docker's configuration, for credentials; a Server's folder.
package registry
