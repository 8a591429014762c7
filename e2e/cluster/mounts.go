package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// boundDirs are the places that the kubelet, containerd and the CNI library write to whatever
// their configuration says. In the node's mount namespace a folder below DIR/run/node lies there.
func boundDirs() []string {
	return []string{"/var/lib/kubelet", "/run/containerd", "/var/lib/cni", "/var/log/pods", "/var/log/containers"}
}

// boundSource is what lies at one of boundDirs.
func boundSource(l layout, dir string) string {
	return l.run("node", strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-"))
}

// coveredSysctls are those that a kubelet sets, with the values it wants. In the node's mount
// namespace a plain file lies over each, so that the machine's own are left alone.
func coveredSysctls() map[string]string {
	return map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
}

// makeMountPoints creates the folders to mount on that this machine does not have, and notes
// them first, so that removeMountPoints finds them.
func makeMountPoints(l layout) error {
	var missing []string
	for _, dir := range boundDirs() {
		for d := dir; d != "/"; d = filepath.Dir(d) {
			if _, err := os.Stat(d); errors.Is(err, fs.ErrNotExist) && !slices.Contains(missing, d) {
				missing = append(missing, d)
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	slices.Sort(missing) // a folder before what lies in it
	b, err := json.Marshal(missing)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.run("mount-points.json"), b, 0o644); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// removeMountPoints removes what makeMountPoints made, as far as it is empty.
func removeMountPoints(l layout) error {
	b, err := os.ReadFile(l.run("mount-points.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var made []string
	if err := json.Unmarshal(b, &made); err != nil {
		return err
	}
	for _, dir := range slices.Backward(made) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// mountNode makes the node's view of the file system. It must run in a mount namespace and a
// PID namespace of their own.
func mountNode(l layout) error {
	// Nothing goes back to the machine; below here mounts are shared, as a kubelet expects.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make / a slave mount: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / a shared mount: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range boundDirs() {
		source := boundSource(l, dir)
		if err := os.MkdirAll(source, 0o755); err != nil {
			return err
		}
		if err := bind(source, dir); err != nil {
			return err
		}
	}
	for name, value := range coveredSysctls() {
		source := l.run("node", "sysctl", strings.ReplaceAll(name, "/", "."))
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(source, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := bind(source, "/proc/sys/"+name); err != nil {
			return err
		}
	}
	return nil
}

func bind(source, target string) error {
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, target, err)
	}
	return nil
}
