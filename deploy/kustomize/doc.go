// Package kustomize makes objects from a folder with a kustomization, as
// `kustomize build` does, in this process.
//
// # Owns
//
// [Renderer], [Encode], and what stands between kustomize and the file system:
// every file is checked before kustomize sees it, for kustomize itself would
// fetch what is remote and expand YAML aliases until memory ends.
//
// Large trees are rendered in parts: see parts.go for when and why that gives the same
// bytes.
//
// # May touch
//
// Reads files below the kustomization and the bases it names; writes nothing,
// starts no program, and never uses the network. Of ours it imports deploy.
// Kustomize itself prints a warning to stderr where a kustomization uses a
// deprecated field.
package kustomize
