//go:build linux

package embed

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/moby/sys/capability"

	"github.com/slipway-ci/slipway/buildkit"
)

// isAdmin reports whether this process may mount. Being root is not enough, as
// in a container without privileges, and not needed.
func isAdmin() bool {
	caps, err := capability.NewPid2(0)
	if err != nil || caps.Load() != nil {
		return false
	}
	return caps.Get(capability.EFFECTIVE, capability.CAP_SYS_ADMIN)
}

// hasOneID reports whether our user namespace maps a single id.
func hasOneID() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(text))
	return err == nil && len(f) == 3 && f[2] == "1"
}

// diagnose says what keeps this machine from making a user namespace and mounts
// in it, by looking at the settings that are known to.
func diagnose(err error) error {
	var host *buildkit.HostError
	if errors.As(err, &host) {
		return err
	}
	const what = "a plain user may not make a user namespace with mounts"
	switch {
	case setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return &buildkit.HostError{What: what, Cure: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0", Err: err}
	case setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return &buildkit.HostError{What: what, Cure: "sysctl -w kernel.unprivileged_userns_clone=1", Err: err}
	case setting("/proc/sys/user/max_user_namespaces") == "0":
		return &buildkit.HostError{What: what, Cure: "sysctl -w user.max_user_namespaces=10000", Err: err}
	case isFiltered() && (errors.Is(err, syscall.EPERM) || strings.Contains(err.Error(), syscall.EPERM.Error())):
		return &buildkit.HostError{
			What: what,
			Cure: "in a pod, set securityContext.seccompProfile.type: Unconfined; in docker, --security-opt seccomp=unconfined",
			Err:  err,
		}
	}
	return &buildkit.HostError{What: what, Cure: "run slipway as root, or with --builder", Err: err}
}

// setting returns a kernel setting, empty if this kernel does not have it.
func setting(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}

// isFiltered reports whether a seccomp filter stands over us.
func isFiltered() bool {
	text, _ := os.ReadFile("/proc/self/status")
	return strings.Contains(string(text), "\nSeccomp:\t2")
}
