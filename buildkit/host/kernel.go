package host

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// What cures what the kernel or whoever started us forbids. They are said by
// doctor, and by a build that fails.
const (
	cureAppArmor = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	cureClone    = "sysctl -w kernel.unprivileged_userns_clone=1"
	cureMax      = "sysctl -w user.max_user_namespaces=10000"
	cureSeccomp  = "in a pod, set securityContext.seccompProfile.type: Unconfined; in docker, --security-opt seccomp=unconfined"
	cureElse     = "run slipway as root, or with --builder"
)

func system(m Machine) (Finding, bool) {
	if !m.linux() {
		return Finding{
			"system", Fails, fmt.Sprintf("images are built on Linux, and this is %s", m.OS),
			"slipway run --builder docker, or --builder with the address of a buildkitd; validate, plan and deploy work here",
		}, true
	}
	return works("system", "linux/%s, kernel %s", m.Arch, cmp.Or(m.Kernel, "unknown"))
}

func privileges(m Machine) (Finding, bool) {
	who := fmt.Sprintf("uid %d", m.UID)
	if m.User != "" {
		who = m.User
	}
	switch {
	case !m.linux():
		return Finding{}, false
	case m.Admin && !m.Nested:
		return works("privileges", "%s with CAP_SYS_ADMIN: builds run in this process", who)
	case m.Admin:
		return works("privileges", "%s, root of a user namespace: builds run in a child process", who)
	}
	return works("privileges", "%s without CAP_SYS_ADMIN: builds run in a user namespace of their own", who)
}

// namespaces says whether a plain user can make a user namespace with mounts,
// and otherwise which of the settings that are known to forbids it.
func namespaces(m Machine) (Finding, bool) {
	const name = "user namespaces"
	switch {
	case !m.plain():
		return Finding{}, false
	case m.Userns == "":
		return works(name, "a plain user may make one, and mount in it")
	}
	return Finding{name, Fails, "a plain user may not make one with mounts: " + m.Userns, m.Cure()}, true
}

// Cure says what lets a plain user make a user namespace with mounts, by the
// settings that are known to forbid it.
func (m Machine) Cure() string {
	switch {
	case m.setting("kernel.apparmor_restrict_unprivileged_userns", "1"):
		return cureAppArmor
	case m.setting("kernel.unprivileged_userns_clone", "0"):
		return cureClone
	case m.setting("user.max_user_namespaces", "0"):
		return cureMax
	case m.Seccomp == 2:
		return cureSeccomp
	}
	return cureElse
}

func appArmor(m Machine) (Finding, bool) {
	const name, key = "apparmor", "kernel.apparmor_restrict_unprivileged_userns"
	switch {
	case !m.plain():
		return Finding{}, false
	case m.setting(key, "1") && m.Userns != "":
		return Finding{
			name, Fails, "AppArmor keeps plain users from using user namespaces, as on Ubuntu 24.04",
			cureAppArmor + " (for ever: echo kernel.apparmor_restrict_unprivileged_userns=0 > /etc/sysctl.d/60-slipway.conf)",
		}, true
	case m.setting(key, "1"):
		return works(name, "restricts user namespaces, but not ours (profile %s)", cmp.Or(m.AppArmor, "unconfined"))
	}
	return works(name, "does not restrict user namespaces (profile %s)", cmp.Or(m.AppArmor, "unconfined"))
}

func seccomp(m Machine) (Finding, bool) {
	const name = "seccomp"
	switch {
	case !m.plain():
		return Finding{}, false
	case m.Seccomp == 2 && m.Userns != "":
		return Finding{name, Fails, "a filter of system calls stands over us, as RuntimeDefault in a pod", cureSeccomp}, true
	case m.Seccomp == 2:
		return works(name, "a filter stands over us, and lets user namespaces through")
	}
	return works(name, "no filter stands over us; commands of builds get one of their own")
}

// processes says whether commands of a build see only their own processes.
func processes(m Machine) (Finding, bool) {
	const name = "process sandbox"
	switch {
	case !m.plain() || m.Userns != "":
		return Finding{}, false
	case m.Proc:
		return works(name, "commands see their own processes alone")
	case m.Pod != nil:
		return Finding{
			name, Limits, "parts of /proc are hidden, so commands of a build see its other processes",
			"securityContext.procMount: Unmasked with hostUsers: false, where the cluster has it; builds work without",
		}, true
	}
	return Finding{name, Limits, "/proc cannot be mounted, so commands of a build see its other processes", ""}, true
}

// podSecurity says whether the namespace lets pods be as builds need them.
func podSecurity(m Machine) (Finding, bool) {
	const name = "pod security"
	switch {
	case m.Pod == nil:
		return Finding{}, false
	case m.Pod.Level == "":
		return Finding{
			name, Unknown, fmt.Sprintf("the level of namespace %s could not be read: %s", m.Pod.Namespace, m.Pod.Why),
			fmt.Sprintf("kubectl get namespace %s --show-labels", m.Pod.Namespace),
		}, true
	case m.plain() && m.Pod.Level != "privileged":
		return Finding{
			name, Limits, fmt.Sprintf("namespace %s enforces %s, which admits no pod with seccompProfile.type: Unconfined", m.Pod.Namespace, m.Pod.Level),
			fmt.Sprintf("build in a namespace of its own: kubectl label namespace %s pod-security.kubernetes.io/enforce=privileged --overwrite", m.Pod.Namespace),
		}, true
	}
	return works(name, "namespace %s enforces %s", m.Pod.Namespace, m.Pod.Level)
}

func cgroups(m Machine) (Finding, bool) {
	const name = "cgroups"
	switch {
	case !m.linux():
		return Finding{}, false
	case m.Cgroups == "":
		return Finding{name, Unknown, "/sys/fs/cgroup has none", "mount -t cgroup2 none /sys/fs/cgroup"}, true
	}
	return works(name, "%s", m.Cgroups)
}

// emulation says which foreign platforms commands of a build can run for.
func emulation(m Machine) (Finding, bool) {
	const name = "other platforms"
	if !m.linux() {
		return Finding{}, false
	}
	if len(m.Runs) == 0 {
		return Finding{
			name, Limits, "commands run for linux/" + m.Arch + " alone; FROM and COPY work for all",
			"apt-get install qemu-user-static binfmt-support, or a --builder of that platform",
		}, true
	}
	return works(name, "commands run for %s, too", strings.Join(slices.Sorted(slices.Values(m.Runs)), ", "))
}
