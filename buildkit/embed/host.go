//go:build linux

package embed

import (
	"errors"
	"os"
	"strings"

	"github.com/moby/sys/capability"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/host"
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
	if errors.As(err, new(*buildkit.HostError)) {
		return err
	}
	const what = "a plain user may not make a user namespace with mounts"
	return &buildkit.HostError{What: what, Cure: host.Kernel().Cure(), Err: err}
}
