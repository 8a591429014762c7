package main

import (
	"bytes"
	"fmt"
	"os"
)

// checksums writes checksums.txt, which "sha256sum --check" reads, for all
// files of the folder.
func (r *release) checksums() error {
	entries, err := os.ReadDir(r.dir) // sorted by name
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, e := range entries {
		sum, err := sha256Of(r.path(e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s  %s\n", sum, e.Name())
	}
	return os.WriteFile(r.path("checksums.txt"), out.Bytes(), 0o644)
}
