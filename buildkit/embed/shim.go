//go:build linux

package embed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// shimName is what this binary is called where it stands before runc.
const shimName = "slipway-runc"

// notStarted is what runc says first of a command that it cannot start.
const notStarted = "runc run failed: unable to start container process: "

// installShim puts this binary before runc and returns the path to call. It is
// needed where a user namespace has one id: BuildKit gives terminals to the group
// 5, which does not exist there, and runc refuses.
func installShim(root, runc string) (string, error) {
	dir := filepath.Join(root, "shim")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, shimName)
	links := []struct{ name, target string }{
		{path, "/proc/self/exe"}, // whoever calls it is this binary
		{filepath.Join(dir, "runc"), runc},
	}
	for _, l := range links {
		if err := os.Remove(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(l.target, l.name); err != nil {
			return "", err
		}
	}
	return path, nil
}

// shim mends the bundle that runc is to run, and becomes runc.
func shim(args []string) error {
	if i := slices.Index(args, "--bundle"); i > 0 && i+1 < len(args) {
		if err := mendBundle(filepath.Join(args[i+1], "config.json")); err != nil {
			return fmt.Errorf("%s%w", notStarted, err)
		}
	}
	runc := filepath.Join(filepath.Dir(args[0]), "runc")
	return syscall.Exec(runc, append([]string{"runc"}, args[1:]...), os.Environ())
}

// mendBundle takes the group of terminals out of a runtime spec, and refuses one of
// a user who does not exist here. All that we do not know of the spec stays as it is.
func mendBundle(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var spec map[string]any
	if err := dec.Decode(&spec); err != nil {
		return err
	}
	process, _ := spec["process"].(map[string]any)
	user, _ := process["user"].(map[string]any)
	for _, id := range []string{"uid", "gid"} {
		if n, ok := user[id].(json.Number); ok && n != "0" {
			return fmt.Errorf("%s %s is not mapped here, only root's is (USER 0, or user: \"0\" of exec; slipway doctor says what gives more ids)", id, n)
		}
	}
	mounts, _ := spec["mounts"].([]any)
	for _, m := range mounts {
		m, _ := m.(map[string]any)
		if m["type"] != "devpts" {
			continue
		}
		options, _ := m["options"].([]any)
		m["options"] = slices.DeleteFunc(options, func(o any) bool { return o == "gid=5" })
	}
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
