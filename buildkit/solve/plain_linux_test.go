package solve_test

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// asUser runs the tests of this binary again as the user nobody: $1 is a folder,
// $2 selects the tests, $3 is done before by root and $4 by the user, who starts
// the tests with it. All of it is undone with the mount namespace.
const asUser = `mount --bind "$1/ids" /etc/subuid && mount --bind "$1/ids" /etc/subgid && eval "$3" &&
exec setpriv --reuid nobody --regid nogroup --clear-groups env HOME="$1" TMPDIR="$1" sh -c "$4" sh "$1/test" -test.v -test.run "$2"`

// A user is somebody who builds without privileges.
type user struct {
	name   string
	ids    string // lines of /etc/subuid and /etc/subgid
	before string // what root does
	start  string // how the user starts a program
	tests  string // which tests hold
}

// digestLine is how TestPrintDigest tells what it built.
var digestLine = regexp.MustCompile(`DIGEST (sha256:[0-9a-f]{64})`)

func TestPrintDigest(t *testing.T) {
	state := cmp.Or(os.Getenv(stateVar), t.TempDir())
	img, _ := build(t, builderAt(t, state), buildkit.Spec{Context: shellFolder(t, digestLines, digestFiles)})
	t.Log("DIGEST " + img.Digest)
}

// CI runs as root, so a plain user's part is tested from here.
func TestPlainUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, tool := range []string{"unshare", "setpriv", "newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs Debian's util-linux and uidmap:", err)
		}
	}
	busybox(t)
	want, _ := build(t, newBuilder(t), buildkit.Spec{Context: shellFolder(t, digestLines, digestFiles)})
	const ids, some, most = "nobody:200000:65536\n", "TestPrintDigest|TestBuild|TestExec", "TestUnpushedContext|TestCancel.*|TestSecrets|TestKilled|TestRunsAtOnce"
	for _, u := range []user{
		{name: "many ids", ids: ids, tests: some + "|" + most},
		{name: "one id", tests: some + "|" + most + "|TestOneID"},
		{name: "newuidmap may do nothing", ids: ids, start: `exec setpriv --no-new-privs "$@"`, tests: "TestPrintDigest"},
		{name: "root of a namespace", start: `exec unshare --user --map-root-user "$@"`, tests: some + "|TestKilled"},
		{name: "parts of proc are hidden, as in a pod", before: "mount --bind /dev/null /proc/version", tests: some + "|TestKilled"},
	} {
		t.Run(u.name, func(t *testing.T) {
			out := runAs(t, u)
			if strings.Contains(out, "--- SKIP") {
				t.Error("some of it was skipped")
			}
			got := digestLine.FindStringSubmatch(out)
			if got == nil || got[1] != want.Digest {
				t.Errorf("digest %v, root's is %s", got, want.Digest)
			}
		})
	}
	t.Run("no user namespaces", func(t *testing.T) {
		runAs(t, user{
			start: `exec unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"' sh "$@"`,
			tests: "TestHostError",
		})
	})
}

func TestHostError(t *testing.T) {
	if text, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || string(text) != "0\n" {
		t.Skip("is run by TestPlainUser")
	}
	_, err := newBuilder(t).Build(t.Context(), buildkit.Spec{Context: shellFolder(t, "", nil)}, nil)
	var host *buildkit.HostError
	if !errors.As(err, &host) || !strings.Contains(host.Cure, "max_user_namespaces") {
		t.Errorf("error: %v", err)
	}
}

// Where one id is mapped, no other user can be, and it is said what to do.
func TestOneID(t *testing.T) {
	b := newBuilder(t)
	if _, err := b.Build(t.Context(), buildkit.Spec{Context: shellFolder(t, "RUN mkdir /x && chown 7 /x\n", nil)}, nil); err == nil {
		t.Skip("is run by TestPlainUser")
	}
	const want = "uid 1000 is not mapped here, only root's is (USER 0"
	_, err := b.Build(t.Context(), buildkit.Spec{Context: shellFolder(t, "USER 1000\nRUN true\n", nil)}, nil)
	var failed *buildkit.SolveError
	if !errors.As(err, &failed) || !strings.Contains(strings.Join(failed.Log, "\n"), want) {
		t.Errorf("RUN: %v", err)
	}
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	err = b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"true"}, User: "1000"}, nil)
	var exit *buildkit.ExitError
	if !errors.As(err, &exit) || exit.Code != 127 || !strings.Contains(strings.Join(exit.Log, "\n"), want) {
		t.Errorf("exec: %v", err)
	}
}

func runAs(t *testing.T, u user) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "plain") //nolint:usetesting // t.TempDir lies in a folder that only root may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"ids": []byte(u.ids), "test": self} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", asUser, "sh",
		dir, "^("+u.tests+")$", cmp.Or(u.before, "true"), cmp.Or(u.start, `exec "$@"`))
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return string(out)
}
