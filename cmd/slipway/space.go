package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
	"github.com/slipway-ci/slipway/pipeline"
)

// fullPath finds what could not be written, in the words of Go and of BuildKit.
var fullPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b[a-z_]+ (/[^:\n]+): (?i:no space left on device|disk quota exceeded)`)
})

// space says how much the disk has that err found full. If err does not tell
// which, it is said of all disks that a run writes to, the fullest first.
// Otherwise it is empty: that of a registry is not ours.
func (a *app) space(err error) string {
	if _, theirs := errors.AsType[*buildkit.RegistryError](err); !isFull(err) || theirs {
		return ""
	}
	disks := a.disks()
	if m := fullPath().FindStringSubmatch(err.Error()); m != nil {
		if d, ok := diskOf(filepath.Dir(m[1])); ok {
			disks = slices.DeleteFunc(disks, func(o host.Disk) bool { return !sameDisk(o, d) })
			if len(disks) == 0 {
				disks = []host.Disk{d}
			}
		}
	}
	cure := "make room there"
	var said []string
	for _, d := range disks {
		text := fmt.Sprintf("%s has %s free of %s", d.Dir, buildkit.Bytes(d.Free), buildkit.Bytes(d.Total))
		if d.Inodes > 0 && d.FreeInodes == 0 {
			text = fmt.Sprintf("%s has room for no more files, of %d", d.Dir, d.Inodes)
		}
		if said = append(said, text); d.Dir == a.state() {
			cure = "slipway cache prune makes room, or --state with a folder on another disk"
		}
	}
	if len(said) == 0 {
		return ""
	}
	return strings.Join(said, "; ") + " (" + cure + ")"
}

// disks are those that a run writes to, the fullest first.
func (a *app) disks() []host.Disk {
	var disks []host.Disk
	for _, dir := range []string{a.state(), os.TempDir(), filepath.Dir(a.flags.file)} {
		d, ok := diskOf(dir)
		if ok && !slices.ContainsFunc(disks, func(o host.Disk) bool { return sameDisk(o, d) }) {
			d.Dir = dir
			disks = append(disks, d)
		}
	}
	slices.SortStableFunc(disks, func(a, b host.Disk) int { return cmp.Compare(a.Free, b.Free) })
	return disks
}

// diskOf returns the disk of a folder, or of the nearest above it that is there.
func diskOf(dir string) (host.Disk, bool) {
	for _, err := os.Stat(dir); err != nil && dir != filepath.Dir(dir); _, err = os.Stat(dir) {
		dir = filepath.Dir(dir)
	}
	d, err := host.Space(dir)
	return d, err == nil
}

func sameDisk(a, b host.Disk) bool {
	return a.Total == b.Total && a.Inodes == b.Inodes && a.Type == b.Type
}

// warnFull is a sink that says how much the disks have of which a warning says that
// they are full.
func (a *app) warnFull(ev pipeline.Event) {
	if ev.Type != pipeline.EventWarning {
		return
	}
	if said := a.space(errors.New(ev.Text)); said != "" {
		fmt.Fprintln(a.mask(a.stderr), said)
	}
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
