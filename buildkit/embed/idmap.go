//go:build linux

package embed

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// An idMap is what newuidmap and newgidmap put into a user namespace besides
// ourselves: a range of ids, so that images can have files of other users.
type idMap struct {
	uids, gids idRange
}

type idRange struct{ first, count string }

// An idMapError says that newuidmap or newgidmap refused.
type idMapError struct {
	tool string
	err  error
}

func (e *idMapError) Error() string { return e.tool + ": " + e.err.Error() }
func (e *idMapError) Unwrap() error { return e.err }

// findIDMap returns the ids that this machine lends us, or nil if it lends none.
func findIDMap() *idMap {
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil
		}
	}
	names := []string{strconv.Itoa(os.Getuid())}
	if u, err := user.Current(); err == nil {
		names = append(names, u.Username)
	}
	uids, gids := subordinate("/etc/subuid", names), subordinate("/etc/subgid", names)
	if uids == nil || gids == nil {
		return nil
	}
	return &idMap{uids: *uids, gids: *gids}
}

// subordinate returns the first range that a file lends to one of the names.
func subordinate(file string, names []string) *idRange {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		f := strings.Split(strings.TrimSpace(sc.Text()), ":")
		for _, name := range names {
			if len(f) == 3 && f[0] == name {
				return &idRange{first: f[1], count: f[2]}
			}
		}
	}
	return nil
}

// apply maps us to root of the process's namespace, and the ranges to the rest.
func (m *idMap) apply(ctx context.Context, pid int) error {
	for _, call := range []struct {
		tool string
		self int
		ids  idRange
	}{{"newuidmap", os.Getuid(), m.uids}, {"newgidmap", os.Getgid(), m.gids}} {
		out, err := exec.CommandContext(ctx, call.tool, strconv.Itoa(pid),
			"0", strconv.Itoa(call.self), "1", "1", call.ids.first, call.ids.count).CombinedOutput()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return &idMapError{call.tool, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))}
		}
	}
	return nil
}
