//go:build linux

package embed

import "embed"

// binaries holds bin/amd64/runc.gz if make put it there.
//
//go:embed bin/amd64
var binaries embed.FS
