//go:build linux && !amd64 && !arm64

package embed

import "embed"

// binaries is empty: runc is looked up on the PATH.
var binaries embed.FS
