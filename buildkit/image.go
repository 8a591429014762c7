package buildkit

import (
	"cmp"
	"strings"
)

// An Image is an image by digest, and where its content lies: in the content
// store of the builder that built it, in a repository, or in both.
type Image struct {
	Digest     string   // of the manifest or index: "sha256:…"
	MediaType  string   // of what Digest names
	Size       int64    // bytes of what Digest names
	Repository string   // where it was pushed or found; empty while it lies in the builder alone
	Tags       []string // tags under which it was pushed
}

// Ref returns the reference that pins the image: "repository:tag@sha256:…", or
// without the tag where there is none. It is empty for an image that was not pushed.
func (i Image) Ref() string {
	if i.Repository == "" {
		return ""
	}
	tag := ""
	if len(i.Tags) > 0 {
		tag = ":" + i.Tags[0]
	}
	return i.Repository + tag + "@" + i.Digest
}

// KeyTag returns the tag under which a repository holds the image for the input key.
func KeyTag(key string) string { return "slipway-" + key }

// IsTag reports whether text can be a tag: a letter, digit or underscore, and up to 127 of
// these, dots and hyphens after it (OCI Distribution Specification, "Pulling manifests").
func IsTag(text string) bool {
	const first = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return text != "" && len(text) <= 128 && strings.Contains(first, text[:1]) && strings.Trim(text, first+".-") == ""
}

// IsDigest reports whether text is a digest of SHA-256, in lower case (OCI Image
// Specification, "Digests").
func IsDigest(text string) bool {
	hex, ok := strings.CutPrefix(text, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// Host returns the registry of a reference or repository: the part before the
// first slash if it has a dot, a colon or is "localhost", and docker.io otherwise.
//
// See https://pkg.go.dev/github.com/distribution/reference.
func Host(ref string) string {
	first, _, found := strings.Cut(ref, "/")
	if found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first
	}
	return "docker.io"
}

// Short returns the first twelve hex digits of a digest, for people.
func Short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	hex = cmp.Or(hex, digest)
	if !ok {
		hex = digest
	}
	return hex[:min(12, len(hex))]
}

// A Statement is something that was said about an image when it was built: an
// in-toto statement about its provenance, or what it is made of.
//
// See https://github.com/in-toto/attestation.
type Statement struct {
	Digest    string // of its text
	Size      int64  // bytes
	MediaType string
	Predicate string // such as https://slsa.dev/provenance/v1
	Platform  string // which of an image's platforms it is about; empty if it has one
}
