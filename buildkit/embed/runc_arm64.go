//go:build linux

package embed

import "embed"

// binaries holds bin/arm64/runc.gz if make put it there.
//
//go:embed bin/arm64
var binaries embed.FS
