package host

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/capability"
	"github.com/moby/sys/userns"
	"golang.org/x/sys/unix"
)

// settings are the sysctls that decide about user namespaces.
func settings() []string {
	return []string{"kernel.apparmor_restrict_unprivileged_userns", "kernel.unprivileged_userns_clone", "user.max_user_namespaces"}
}

// Kernel looks at what the kernel, and whoever started us, allow. It cannot
// fail: what is not readable stays zero.
func Kernel() Machine {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: readWord("/proc/sys/kernel/osrelease"),
		UID: os.Getuid(), Nested: userns.RunningInUserNS(), Settings: map[string]string{},
	}
	for _, name := range settings() {
		text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		if err == nil {
			m.Settings[name] = strings.TrimSpace(string(text))
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch key {
		case "NoNewPrivs":
			m.NoNewPrivs = value == "1"
		case "Seccomp":
			m.Seccomp, _ = strconv.Atoi(value)
		}
	}
	if caps, err := capability.NewPid2(0); err == nil && caps.Load() == nil {
		m.Admin = caps.Get(capability.EFFECTIVE, capability.CAP_SYS_ADMIN)
	}
	m.OneID = readWord("/proc/self/uid_map", 2) == "1"
	m.AppArmor = readWord("/proc/self/attr/apparmor/current")
	return m
}

// Look looks at this machine. The state folder need not exist. What only an
// attempt tells ([Machine.Userns], [Machine.Trial]), and what only a cluster
// does ([Pod.Level]), is for the caller to add.
func Look(state string) Machine {
	m := Kernel()
	if u, err := user.Current(); err == nil {
		m.User = u.Username
	}
	m.NewUIDMap, m.NewGIDMap = lookTool("newuidmap"), lookTool("newgidmap")
	m.SubUID, m.SubGID = lent("/etc/subuid", m), lent("/etc/subgid", m)
	m.Git, _ = exec.LookPath("git")
	m.Cgroups = lookCgroups()
	m.Runs = lookEmulators()
	m.State = lookDisk(state)
	m.Container = exists("/.dockerenv") || exists("/run/.containerenv")
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		m.Pod = &Pod{Namespace: readWord("/var/run/secrets/kubernetes.io/serviceaccount/namespace"), Why: "the pod has no service account token"}
	}
	return m
}

// readWord returns a word of a file, the first if n is not given; empty if there is none.
func readWord(path string, n ...int) string {
	text, _ := os.ReadFile(path)
	words := strings.Fields(strings.Trim(string(text), "\x00"))
	at := 0
	if len(n) > 0 {
		at = n[0]
	}
	if at >= len(words) {
		return ""
	}
	return words[at]
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func lookTool(name string) Tool {
	path, err := exec.LookPath(name)
	if err != nil {
		return Tool{}
	}
	t := Tool{Path: path}
	if info, err := os.Stat(path); err == nil {
		t.SetUID = info.Mode()&fs.ModeSetuid != 0
	}
	_, err = unix.Getxattr(path, "security.capability", nil)
	t.Caps = err == nil
	var at unix.Statfs_t
	if unix.Statfs(path, &at) == nil {
		t.NoSUID = at.Flags&unix.ST_NOSUID != 0
	}
	return t
}

// lent returns how many ids a file lends us in its first range: newuidmap is
// asked for that one.
func lent(file string, m Machine) int64 {
	text, _ := os.ReadFile(file)
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		f := strings.Split(strings.TrimSpace(sc.Text()), ":")
		if len(f) == 3 && (f[0] == strconv.Itoa(m.UID) || f[0] == m.User && m.User != "") {
			n, _ := strconv.ParseInt(f[2], 10, 64)
			return n
		}
	}
	return 0
}

func lookCgroups() string {
	switch {
	case exists("/sys/fs/cgroup/cgroup.controllers"):
		return "v2"
	case exists("/sys/fs/cgroup/unified/cgroup.controllers"):
		return "hybrid"
	case exists("/sys/fs/cgroup/memory"), exists("/sys/fs/cgroup/cpu"):
		return "v1"
	}
	return ""
}

// emulated is which architecture an emulator of qemu's name runs.
func emulated() map[string]string {
	return map[string]string{
		"aarch64": "arm64", "x86_64": "amd64", "arm": "arm", "riscv64": "riscv64", "ppc64le": "ppc64le",
		"s390x": "s390x", "i386": "386", "mips64el": "mips64le", "loongarch64": "loong64",
	}
}

func lookEmulators() []string {
	var found []string
	for qemu, arch := range emulated() {
		entry, err := os.ReadFile("/proc/sys/fs/binfmt_misc/qemu-" + qemu)
		registered := err == nil && strings.HasPrefix(string(entry), "enabled")
		_, err = exec.LookPath("buildkit-qemu-" + qemu)
		if arch != runtime.GOARCH && (registered || err == nil) {
			found = append(found, "linux/"+arch)
		}
	}
	return found
}

// diskTypes are the names of file systems that matter to somebody.
func diskTypes() map[int64]string {
	return map[int64]string{
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.NFS_SUPER_MAGIC: "nfs", 0x2fc12fc1: "zfs",
	}
}

// lookDisk looks at the file system of a folder, or of the nearest above it
// that exists.
func lookDisk(dir string) Disk {
	d := Disk{Dir: dir}
	at := dir
	for !exists(at) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
	}
	if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
		d.Err = (&fs.PathError{Op: "write to", Path: at, Err: err}).Error()
	}
	if s, err := Space(at); err == nil {
		s.Dir, s.Err = d.Dir, d.Err
		return s
	}
	return d
}

// Space returns the size of the file system that a folder lies on, and what of
// it is free.
func Space(dir string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Disk{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return Disk{
		Dir: dir, Type: diskTypes()[int64(s.Type)], //nolint:unconvert // it has another type on other architectures
		Free: int64(s.Bavail) * int64(s.Bsize), Total: int64(s.Blocks) * int64(s.Bsize), //nolint:gosec // no disk is that large
		FreeInodes: int64(s.Ffree), Inodes: int64(s.Files), //nolint:gosec // see above
	}, nil
}

// IsFull reports whether err is about a disk without room.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		err != nil && strings.Contains(strings.ToLower(err.Error()), "no space left on device")
}
