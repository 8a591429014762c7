package host

import (
	"bytes"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// laptop is a Debian where a plain user builds with many ids.
func laptop() Machine {
	tool := func(name string) Tool { return Tool{Path: "/usr/bin/" + name, SetUID: true} }
	return Machine{
		OS: "linux", Arch: "amd64", Kernel: "6.8.0-45-generic", UID: 1000, User: "ada",
		Settings:  map[string]string{"user.max_user_namespaces": "63432"},
		Proc:      true,
		NewUIDMap: tool("newuidmap"), NewGIDMap: tool("newgidmap"), SubUID: 65536, SubGID: 65536,
		Git: "/usr/bin/git", Runc: "embedded", Cgroups: "v2", Runs: []string{"linux/arm64"},
		State: Disk{Dir: "/home/ada/.cache/slipway", Type: "ext4", Free: 80 << 30, Total: 200 << 30, FreeInodes: 9e6, Inodes: 10e6},
		Trial: &Trial{},
	}
}

// pod is one of the real kubelet: uid 1000, no capabilities, state on an emptyDir.
func pod() Machine {
	m := laptop()
	m.User, m.NoNewPrivs, m.Proc, m.Runs, m.Git = "", true, false, nil, ""
	m.NewUIDMap, m.NewGIDMap, m.SubUID, m.SubGID = Tool{}, Tool{}, 0, 0
	m.Pod = &Pod{Namespace: "ci", Why: "namespaces \"ci\" is forbidden"}
	m.State.Dir = "/state"
	return m
}

func machines() map[string]Machine {
	change := func(m Machine, f func(*Machine)) Machine { f(&m); return m }
	return map[string]Machine{
		"host": laptop(),
		"host-root": change(laptop(), func(m *Machine) {
			m.UID, m.User, m.Admin = 0, "root", true
		}),
		"host-no-newuidmap": change(laptop(), func(m *Machine) { m.NewUIDMap, m.NewGIDMap = Tool{}, Tool{} }),
		"host-newuidmap-without-privilege": change(laptop(), func(m *Machine) {
			m.NewUIDMap.SetUID, m.NewGIDMap.SetUID = false, false
		}),
		"host-newgidmap-missing": change(laptop(), func(m *Machine) { m.NewGIDMap = Tool{} }),
		"host-no-subuid":         change(laptop(), func(m *Machine) { m.SubUID = 0 }),
		"host-few-subgid":        change(laptop(), func(m *Machine) { m.SubGID = 1000 }),
		"host-file-capabilities": change(laptop(), func(m *Machine) {
			m.NewUIDMap = Tool{Path: "/usr/bin/newuidmap", Caps: true}
			m.NewGIDMap = Tool{Path: "/usr/bin/newgidmap", Caps: true}
		}),
		"ubuntu-24.04": change(laptop(), func(m *Machine) {
			m.Settings["kernel.apparmor_restrict_unprivileged_userns"] = "1"
			m.Userns, m.AppArmor, m.Trial = "mount: permission denied", "unconfined", &Trial{Err: "this machine cannot build", Cure: cureAppArmor}
		}),
		"ubuntu-24.04-with-profile": change(laptop(), func(m *Machine) {
			m.Settings["kernel.apparmor_restrict_unprivileged_userns"] = "1"
			m.AppArmor = "slipway"
		}),
		"debian-10": change(laptop(), func(m *Machine) {
			m.Kernel, m.Userns, m.Settings["kernel.unprivileged_userns_clone"] = "4.19.0-27-amd64", "operation not permitted", "0"
		}),
		"no-user-namespaces": change(laptop(), func(m *Machine) {
			m.Userns, m.Settings["user.max_user_namespaces"] = "no space left on device", "0"
		}),
		"old-kernel": change(laptop(), func(m *Machine) { m.Kernel = "5.4.0-200-generic" }),
		"disk-full":  change(laptop(), func(m *Machine) { m.State.Free = 1 << 20 }),
		"no-inodes":  change(laptop(), func(m *Machine) { m.State.FreeInodes = 7 }),
		"no-runc":    change(laptop(), func(m *Machine) { m.Runc, m.Trial = "", nil }),
		"read-only": change(laptop(), func(m *Machine) {
			m.State.Err = "write to /home/ada: read-only file system"
		}),
		"pod-unconfined": pod(),
		"pod-runtime-default": change(pod(), func(m *Machine) {
			m.Seccomp, m.Userns, m.Pod = 2, "make a user namespace: operation not permitted", &Pod{Namespace: "ci", Level: "baseline"}
			m.Trial = &Trial{Err: "this machine cannot build: operation not permitted", Cure: cureSeccomp}
		}),
		"pod-overlay-root": change(pod(), func(m *Machine) { m.State.Type = "overlayfs" }),
		"pod-host-users": change(pod(), func(m *Machine) { // hostUsers: false, with uid 0 in the pod
			m.UID, m.User, m.Admin, m.Nested, m.NoNewPrivs, m.Proc = 0, "root", true, true, false, true
		}),
		"nested-one-id": change(laptop(), func(m *Machine) {
			m.UID, m.Admin, m.Nested, m.OneID = 0, true, true, true
		}),
		"macos":   {OS: "darwin", Arch: "arm64", Git: "/usr/bin/git"},
		"nothing": {OS: "linux", Arch: "riscv64"},
	}
}

func TestFindings(t *testing.T) {
	for name, m := range machines() {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			all := m.Findings()
			for _, f := range all {
				fmt.Fprintf(&got, "%s\t%s\t%s\n", f.State, f.Name, f.Found)
				if f.Cure != "" {
					fmt.Fprintf(&got, "\tcure\t%s\n", f.Cure)
				}
				if f.State == Fails && f.Cure == "" {
					t.Errorf("%s fails without a cure", f.Name)
				}
			}
			fmt.Fprintf(&got, "can build: %t\n", CanBuild(all))
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
			}
		})
	}
}

// What Look finds on the machine of the test agrees with what is plain to see.
func TestLook(t *testing.T) {
	m := Look(filepath.Join(t.TempDir(), "not", "there"))
	if m.OS != "linux" {
		t.Skip("nothing else can build")
	}
	if m.Kernel == "" || m.State.Total == 0 || m.State.Err != "" || m.UID != os.Getuid() {
		t.Errorf("%+v", m)
	}
	for _, f := range m.Findings() {
		t.Log(f.State, f.Name, f.Found)
	}
}

func TestProgram(t *testing.T) {
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		f, err := elf.NewFile(bytes.NewReader(Program(arch)))
		if err != nil {
			t.Fatalf("%s: %v", arch, err)
		}
		if f.Machine != machine || len(f.Progs) != 1 || f.Progs[0].Filesz != uint64(len(Program(arch))) {
			t.Errorf("%s: %+v", arch, f.FileHeader)
		}
	}
	if Program("riscv64") != nil {
		t.Error("a program for an architecture that it does not know")
	}
}

func TestIsFull(t *testing.T) {
	for err, want := range map[error]bool{
		&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}:          true,
		fmt.Errorf("rpc: write /x: no space left on device"):                 true,
		&os.PathError{Op: "write", Path: "/x", Err: syscall.EACCES}:          false,
		&os.PathError{Op: "write", Path: "/x", Err: fmt.Errorf("too large")}: false,
	} {
		if got := IsFull(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
