package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// install copies the programs that are measured into a folder. A linker writes a file
// through a map of its pages, and whoever runs it while they are in memory pays for that: a
// tenth of a short run. What people run was written by a copy, as these are.
func (b *Bench) install(dir, slipway, peers, floor string) (err error) {
	if b.Bin, err = filepath.Abs(filepath.Dir(slipway)); err != nil {
		return err
	}
	b.Slipway, b.Peers, b.Floor = filepath.Join(dir, "slipway"), filepath.Join(dir, "peers"), filepath.Join(dir, "floor")
	for from, to := range map[string]string{peers: b.Peers, floor: b.Floor} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
	return copyProgram(slipway, b.Slipway)
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
