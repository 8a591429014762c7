package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
)

// space says of the disks that a run writes to how much they have, the fullest
// first, if err is about one that is full. Otherwise it is empty.
func (a *app) space(err error) string {
	if !isFull(err) {
		return ""
	}
	var disks []host.Disk
	for _, dir := range []string{a.state(), os.TempDir(), filepath.Dir(a.flags.file)} {
		at := dir
		for _, statErr := os.Stat(at); statErr != nil && at != filepath.Dir(at); _, statErr = os.Stat(at) {
			at = filepath.Dir(at)
		}
		d, spaceErr := host.Space(at)
		same := func(o host.Disk) bool { return o.Free == d.Free && o.Total == d.Total }
		if spaceErr == nil && !slices.ContainsFunc(disks, same) {
			d.Dir = dir
			disks = append(disks, d)
		}
	}
	slices.SortStableFunc(disks, func(a, b host.Disk) int { return cmp.Compare(a.Free, b.Free) })
	var said []string
	for _, d := range disks {
		text := fmt.Sprintf("%s has %s free of %s", d.Dir, host.Bytes(d.Free), host.Bytes(d.Total))
		if d.Inodes > 0 && d.FreeInodes == 0 {
			text = fmt.Sprintf("%s has room for no more files, of %d", d.Dir, d.Inodes)
		}
		said = append(said, text)
	}
	if len(said) == 0 {
		return ""
	}
	return strings.Join(said, "; ") + " (slipway cache prune makes room, or --state with a folder on another disk)"
}

// isFull reports whether a disk was full, also where only the output of a
// command says so.
func isFull(err error) bool {
	if host.IsFull(err) {
		return true
	}
	solve, ok := errors.AsType[*buildkit.SolveError](err)
	return ok && host.IsFull(errors.New(strings.Join(solve.Log, "\n")))
}
