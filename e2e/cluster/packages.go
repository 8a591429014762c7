package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// cniPlugins is where Debian puts them.
const cniPlugins = "/usr/lib/cni"

// packages has a line for each program that a real node runs: its name and its Debian package.
// The Makefile installs the second column.
//
//go:embed packages.txt
var packages string

// checkMachine says what keeps this machine from being a real node.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("--node kubelet needs root (--node kwok does not)")
	}
	var missing []string
	for line := range strings.Lines(packages) {
		program, pkg, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := exec.LookPath(program); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("--node kubelet needs programs that are not here: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}
