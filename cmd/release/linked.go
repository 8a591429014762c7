package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// runcModule is where the container runtime inside the Linux binaries is pinned.
const runcModule = "buildkit/embed/runc"

// A module is one that is linked into a binary.
type module struct {
	path, version string
	sum           string // as go.sum has it; empty for the container runtime's
	dir           string // folder of the go.mod that requires it
}

func (m module) String() string { return m.path + "@" + m.version }

// linkedInto returns the modules of each binary by its name, sorted: what the
// linker wrote into it (debug/buildinfo), and for Linux the modules that the
// embedded runtime is built from.
func linkedInto(dir string, binaries []string) (map[string][]module, error) {
	runtime, err := required(runcModule)
	if err != nil {
		return nil, err
	}
	linked := map[string][]module{}
	for _, name := range binaries {
		info, err := buildinfo.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		all := map[string]module{}
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			m := module{path: dep.Path, version: dep.Version, sum: dep.Sum, dir: "."}
			all[m.String()] = m
		}
		if strings.Contains(name, "-linux-") {
			for _, m := range runtime {
				if _, ok := all[m.String()]; !ok {
					all[m.String()] = m
				}
			}
		}
		linked[name] = slices.SortedFunc(maps.Values(all), func(a, b module) int { return cmp.Compare(a.String(), b.String()) })
	}
	return linked, nil
}

// required returns the modules that the go.mod in dir names.
func required(dir string) ([]module, error) {
	file := filepath.Join(dir, "go.mod")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse(file, text, nil)
	if err != nil {
		return nil, fmt.Errorf("parse %w", err)
	}
	var all []module
	for _, r := range mod.Require {
		all = append(all, module{path: r.Mod.Path, version: r.Mod.Version, dir: dir})
	}
	return all, nil
}
