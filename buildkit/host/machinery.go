package host

import (
	"fmt"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
)

// Sizes below which a build runs out of space soon.
const (
	scarce   = 64 << 20 // bytes
	wanted   = 2 << 30  // bytes
	fewFiles = 10_000   // inodes
)

// idsWanted is how many ids images expect: those of a small Linux.
const idsWanted = 65536

func ids(m Machine) (Finding, bool) {
	const name = "ids"
	who := m.User
	if who == "" {
		who = fmt.Sprint(m.UID)
	}
	cure := fmt.Sprintf("echo %s:100000:65536 | tee -a /etc/subuid /etc/subgid", who)
	switch {
	case m.linux() && m.Admin && m.Nested && m.OneID:
		return Finding{name, Limits, "this user namespace has one id: images can have files of root alone", "start it with more ids, such as podman unshare"}, true
	case !m.plain():
		return Finding{}, false
	case m.Pod != nil && !m.mapsMany():
		return Finding{
			name, Limits, "one id is mapped, root's: images can have files of root alone, and chown, and RUN or exec as another USER, fail",
			`USER 0 before RUN, and user: "0" of exec; for more ids, an image with newuidmap and with uid ` + fmt.Sprint(m.UID) + " in /etc/subuid and /etc/subgid, and securityContext.allowPrivilegeEscalation: true with capabilities.add: [SETUID, SETGID]",
		}, true
	case m.SubUID == 0 || m.SubGID == 0:
		f := "/etc/subuid"
		if m.SubUID > 0 {
			f = "/etc/subgid"
		}
		return Finding{name, Limits, f + " lends " + who + " no ids: images can have files of root alone, and USER and chown fail", cure}, true
	case m.SubUID < idsWanted || m.SubGID < idsWanted:
		return Finding{name, Limits, fmt.Sprintf("%s is lent %d user and %d group ids; images expect %d", who, m.SubUID, m.SubGID, idsWanted), cure}, true
	}
	return works(name, "%s is lent %d user and %d group ids", who, m.SubUID, m.SubGID)
}

// mapsMany reports whether a plain user's images can have the files of many users.
func (m Machine) mapsMany() bool {
	return m.SubUID > 0 && m.SubGID > 0 && m.NewUIDMap.mapping() && m.NewGIDMap.mapping() && !m.NoNewPrivs
}

// mapping reports whether a tool may map ids that are not its caller's.
func (t Tool) mapping() bool { return t.Path != "" && (t.SetUID || t.Caps) && !t.NoSUID }

func mapTools(m Machine) (Finding, bool) {
	const name = "newuidmap"
	if !m.plain() || m.Pod != nil && !m.mapsMany() { // ids says it all
		return Finding{}, false
	}
	tools := []struct {
		name, cap string
		Tool
	}{{"newuidmap", "cap_setuid", m.NewUIDMap}, {"newgidmap", "cap_setgid", m.NewGIDMap}}
	for _, t := range tools {
		if t.Path == "" {
			return Finding{name, Limits, t.name + " is not installed: images can have files of root alone", "apt-get install uidmap (Fedora: shadow-utils)"}, true
		}
	}
	switch {
	case m.NoNewPrivs:
		return Finding{
			name, Limits, "no_new_privs is set, as by allowPrivilegeEscalation: false, so newuidmap gets no privilege: images can have files of root alone",
			"in a pod, securityContext.allowPrivilegeEscalation: true with capabilities.add: [SETUID, SETGID]; elsewhere start slipway without no_new_privs",
		}, true
	case m.NewUIDMap.NoSUID || m.NewGIDMap.NoSUID:
		return Finding{name, Limits, m.NewUIDMap.Path + " lies on a file system mounted nosuid", "mount -o remount,suid " + filepath.Dir(m.NewUIDMap.Path)}, true
	}
	for _, t := range tools {
		if !t.SetUID && !t.Caps {
			return Finding{
				name, Limits, t.Path + " has no privilege: images can have files of root alone",
				fmt.Sprintf("setcap %s+ep %s, or chmod u+s %s", t.cap, t.Path, t.Path),
			}, true
		}
	}
	how := "set-user-id"
	if !m.NewUIDMap.SetUID {
		how = "file capabilities"
	}
	return works(name, "%s (%s)", m.NewUIDMap.Path, how)
}

func container(m Machine) (Finding, bool) {
	const name = "runc"
	switch {
	case !m.linux():
		return Finding{}, false
	case m.Runc == "":
		return Finding{name, Fails, "there is none in this binary, and none on PATH", "apt-get install runc, or a slipway built by make, which brings its own"}, true
	}
	return works(name, "%s", m.Runc)
}

// overlay says how layers are put upon each other.
func overlay(m Machine) (Finding, bool) {
	const name = "overlayfs"
	switch {
	case !m.linux() || m.Userns != "":
		return Finding{}, false
	case m.State.Type == "overlayfs":
		return Finding{
			name, Limits, m.State.Dir + " lies on an overlay itself, as the root of a container: layers are copied, which is slow",
			"put the state on a volume (in a pod an emptyDir, given by --state)",
		}, true
	case m.plain() && older(m.Kernel, 5, 11):
		return Finding{name, Limits, "kernel " + m.Kernel + " lets no plain user mount one: layers are copied, which is slow", "a kernel of 5.11 or newer"}, true
	}
	return works(name, "layers are mounted, not copied")
}

// older reports whether a kernel is older than a version. One that cannot be
// read is not.
func older(kernel string, major, minor int) bool {
	var a, b int
	if n, err := fmt.Sscanf(kernel, "%d.%d", &a, &b); n != 2 || err != nil {
		return false
	}
	return a < major || a == major && b < minor
}

func git(m Machine) (Finding, bool) {
	if m.Git == "" {
		return Finding{"git", Limits, "is not installed: ${{ git.… }} is empty, and contexts cannot be git URLs", "apt-get install git"}, true
	}
	return works("git", "%s", m.Git)
}

func disk(m Machine) (Finding, bool) {
	const name = "disk"
	d := m.State
	said := fmt.Sprintf("%s has %s free of %s", d.Dir, buildkit.Bytes(d.Free), buildkit.Bytes(d.Total))
	prune := "slipway cache prune --all, or --state with a folder on another disk"
	switch {
	case !m.linux():
		return Finding{}, false
	case d.Err != "":
		return Finding{name, Fails, d.Err, "--state with a folder that can be written"}, true
	case d.Total == 0:
		return Finding{name, Unknown, "the size of " + d.Dir + " could not be read", ""}, true
	case d.Free < scarce:
		return Finding{name, Fails, said, prune}, true
	case d.Inodes > 0 && d.FreeInodes < fewFiles:
		return Finding{name, Limits, fmt.Sprintf("%s has room for %d more files, of %d", d.Dir, d.FreeInodes, d.Inodes), prune}, true
	case d.Free < wanted:
		return Finding{name, Limits, said, prune}, true
	}
	return works(name, "%s", said)
}

// trial says what came of a build.
func trial(m Machine) (Finding, bool) {
	const name = "trial build"
	switch {
	case m.Trial == nil:
		return Finding{}, false
	case m.Trial.Err != "":
		return Finding{name, Fails, m.Trial.Err, m.Trial.Cure}, true
	}
	return works(name, "a command ran in a container")
}
