//go:build !linux

package host

import (
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Kernel says which system this is.
func Kernel() Machine { return Machine{OS: runtime.GOOS, Arch: runtime.GOARCH} }

// Look looks at this machine.
func Look(state string) Machine {
	m := Kernel()
	m.Git, _ = exec.LookPath("git")
	m.State.Dir = state
	return m
}

// Space returns an error: sizes of disks are read on Linux alone.
func Space(string) (Disk, error) { return Disk{}, errors.ErrUnsupported }

// IsFull reports whether err is about a disk without room.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || err != nil && strings.Contains(strings.ToLower(err.Error()), "no space left on device")
}
