package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDownLeavesNothing does not run beside other tests: it takes the run's node for itself.
func TestDownLeavesNothing(t *testing.T) {
	c := kubelet(t)
	down := func() {
		t.Helper()
		clusters.forget("kubelet")
		if err := clusterCommand(t.Context(), "down", "--dir", c.dir); err != nil {
			t.Fatal(err)
		}
	}
	down()
	before := machine(t)

	for _, test := range []struct {
		name  string
		kills []string // words in the command lines of processes to kill first
	}{
		{"running", nil},
		{"killed kubelet", []string{"slipway-cluster kubelet"}},
		{"killed containerd and shims", []string{"containerd"}},
		{"killed control plane and node", []string{"slipway-cluster control-plane", "slipway-cluster node"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := kubelet(t)
			ns := c.namespace(t)
			digest := sharedRegistry().push(t, ns+"/web", "v1", "serve")
			runDeployment(t, c, ns, deployment(sharedRegistry().host+"/"+ns+"/web@"+digest, 2))
			during := machine(t)
			if len(added(before, during)) == 0 {
				t.Fatal("nothing is seen of a cluster that runs: this test would prove nothing")
			}
			for key := range during {
				if strings.HasPrefix(key, "sysctl ") && during[key] != before[key] {
					t.Errorf("%s is %q while the cluster runs, was %q", key, during[key], before[key])
				}
			}
			for _, words := range test.kills {
				kill(t, words)
			}
			down()
			eventually(t, 5*time.Second, func(context.Context) error {
				if left := added(before, machine(t)); len(left) > 0 {
					return fmt.Errorf("down left:\n%s", strings.Join(left, "\n"))
				}
				return nil
			})
			down() // again: nothing to do, no error
		})
	}
}

// kill ends the processes whose command lines hold some words, as a crash would.
func kill(t *testing.T, words string) {
	t.Helper()
	found := 0
	for pid, line := range commandLines(t) {
		shim := strings.Contains(line, words+"-shim-runc-v2 -namespace k8s.io ")
		if shim || strings.Contains(line, words) && strings.Contains(line, folder()) {
			found++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				t.Fatal(err)
			}
		}
	}
	if found == 0 {
		t.Errorf("no process %q to kill", words)
	}
}

func commandLines(t *testing.T) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[int]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && len(b) > 0 {
			lines[pid] = strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return lines
}

// added returns what is in the second picture of the machine and not, or not so, in the first.
func added(before, after map[string]string) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[key]; !ok || was != after[key] {
			list = append(list, fmt.Sprintf("%s %s (was %q)", key, after[key], was))
		}
	}
	return list
}

// machine is a picture of all that a cluster could leave: processes, mounts, links, routes,
// network namespaces, cgroups, sysctls, iptables and folders. It leaves out what others who work
// on the same machine may do meanwhile.
func machine(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	ours := func(s string) bool {
		return slices.ContainsFunc([]string{folder(), "kube", "containerd", "cni", "testapp", "/pause"}, func(w string) bool {
			return strings.Contains(s, w)
		})
	}
	for pid, line := range commandLines(t) {
		if ours(line) && !strings.Contains(line, "--when-stdin-ends") && pid != os.Getpid() && !strings.HasPrefix(line, "go ") {
			seen[fmt.Sprintf("process %d", pid)] = line
		}
	}
	lines := func(kind, text string, keep func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && keep(line) {
				seen[kind+" "+line] = ""
			}
		}
	}
	all := func(string) bool { return true }
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	lines("mount", string(mounts), ours)
	lines("route", output(t, "ip", "route", "show", "table", "all"), all)
	if _, err := exec.LookPath("iptables-save"); err == nil {
		lines("iptables", output(t, "iptables-save"), func(s string) bool { return !strings.HasPrefix(s, "#") })
	}
	for kind, pattern := range map[string]string{"link": "/sys/class/net/*", "netns": "/run/netns/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			seen[kind+" "+name] = ""
		}
	}
	walk(t, "/sys/fs/cgroup", 8, func(path string) {
		if ours(path) {
			seen["cgroup "+path] = ""
		}
	})
	for _, root := range []string{"/var/lib", "/run", "/var/log", "/opt", "/etc", "/usr/libexec", "/var/run"} {
		walk(t, root, 2, func(path string) {
			if ours(path) {
				seen["folder "+path] = ""
			}
		})
	}
	for _, pattern := range []string{
		"vm/overcommit*", "vm/panic*", "kernel/panic*", "kernel/keys/*", "net/ipv4/ip_forward",
		"net/ipv4/conf/all/*", "net/ipv4/conf/default/*", "net/ipv6/conf/all/*", "net/bridge/*",
	} {
		files, err := filepath.Glob("/proc/sys/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if b, err := os.ReadFile(file); err == nil {
				seen["sysctl "+strings.TrimPrefix(file, "/proc/sys/")] = strings.TrimSpace(string(b))
			}
		}
	}
	return seen
}

// walk visits the folders below root, to a depth.
func walk(t *testing.T, root string, depth int, visit func(string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // it has just gone, or there is none
		}
		if !d.IsDir() {
			return nil
		}
		visit(path)
		if strings.Count(strings.TrimPrefix(path, root), "/") >= depth {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}
