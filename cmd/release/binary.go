package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// A target is a system that slipway runs on.
type target struct{ os, arch string }

// targets returns the systems that a release is for. Builds work on Linux; the
// others plan, render and deploy, and build with a builder elsewhere.
func targets() []target {
	return []target{
		{"linux", "amd64"},
		{"linux", "arm64"},
		{"darwin", "amd64"},
		{"darwin", "arm64"},
		{"windows", "amd64"},
		{"windows", "arm64"},
	}
}

// name returns the file name of the binary, such as "slipway-linux-amd64".
func (t target) name() string {
	name := "slipway-" + t.os + "-" + t.arch
	if t.os == "windows" {
		name += ".exe"
	}
	return name
}

// build compiles slipway for t and returns the name of the binary. A binary for
// Linux has its container runtime inside, or is no release.
func (r *release) build(ctx context.Context, t target) (string, error) {
	if t.os == "linux" {
		runc := filepath.Join("buildkit", "embed", "bin", t.arch, "runc.gz")
		if _, err := os.Stat(runc); errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("no %s, which goes into %s (run make release, which compiles it)", runc, t.name())
		}
	}
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+r.version, "-o", r.path(t.name()), "./cmd/slipway")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", t.name(), err, out)
	}
	return t.name(), nil
}
