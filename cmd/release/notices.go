package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// libseccomp is linked statically into the container runtime, and is under the
// LGPL: the notice says how to link another.
const libseccomp = `libseccomp

runc, inside the binaries for Linux, is linked with libseccomp, which is under
the GNU Lesser General Public License 2.1. To use another libseccomp, put its
development files where pkg-config finds them and run "make build": runc is
compiled from the sources that buildkit/embed/runc/go.mod pins, and all of
slipway's own are at https://github.com/slipway-ci/slipway.
`

// legal matches the files of a module that its users have to be given.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-.].*)?$`)

// notices writes NOTICES.txt: the licences and notices of all that is linked
// into the binaries. A module without any is an error: it may not be shipped.
func (r *release) notices(ctx context.Context, linked map[string][]module) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "slipway %s contains the work of others, under these terms.\n", r.version)
	done := map[string]bool{}
	for _, t := range targets() {
		for _, m := range linked[t.name()] {
			if done[m.String()] {
				continue
			}
			done[m.String()] = true
			dir, err := m.source(ctx)
			if err != nil {
				return err
			}
			if err := quote(&out, m, dir); err != nil {
				return err
			}
		}
	}
	section(&out, runtime.Version()+", its standard library and runtime")
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output() // runtime.GOROOT knows nothing with -trimpath
	if err != nil {
		return fmt.Errorf("find the sources of Go: %w", err)
	}
	if err := quoteFile(&out, filepath.Join(strings.TrimSpace(string(root)), "LICENSE")); err != nil {
		return err
	}
	section(&out, libseccomp)
	if err := quoteFile(&out, "/usr/share/doc/libseccomp-dev/copyright"); err != nil {
		return err
	}
	return os.WriteFile(r.path("NOTICES.txt"), out.Bytes(), 0o644)
}

// source returns the folder of m's sources in the module cache.
func (m module) source(ctx context.Context) (string, error) {
	c := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.String())
	c.Dir = m.dir
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w", m, err)
	}
	var got struct{ Dir string }
	return got.Dir, json.Unmarshal(out, &got)
}

// quote adds the legal files at the top of a module's sources.
func quote(out io.Writer, m module, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	section(out, m.String())
	found := false
	for _, e := range entries {
		if !e.Type().IsRegular() || !legal.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		found = true
		if err := quoteFile(out, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("%s has no licence", m)
	}
	return nil
}

func section(out io.Writer, title string) {
	fmt.Fprintf(out, "\n%s\n%s\n\n", strings.Repeat("=", 80), strings.TrimSpace(title))
}

func quoteFile(out io.Writer, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	_, err = out.Write(append(bytes.TrimSpace(text), '\n'))
	return err
}
