package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const disksPipeline = `slipway: v1
name: disks
vars: {registry: {env: REGISTRY}}
stages:
  app:
    build:
      context: app
      reuse: false
`

// Each place that a run writes to may have no room while all others have. The run
// says which, and what is free; with room, the next run does all of it.
func TestDisksFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounts as root alone")
	}
	for _, c := range []struct {
		name, at, more string
		code           string
		says           []string
	}{
		{"archive", "out", "      output: [{type: oci, path: out/app.tar}]\n", "1", []string{"a blob of 4 MiB: ", "no space left on device", "out has ", " free of 1 MiB"}},
		{"folder", "out", "      output: [{type: folder, path: out/app}]\n", "1", []string{"no space left on device", "out has ", " free of 1 MiB"}},
		{"tar", "out", "      output: [{type: tar, path: out/app.tar}]\n", "1", []string{"no space left on device", "out has ", " free of 1 MiB"}},
		{"record", ".slipway", "      output: [{type: oci, path: out/app.tar}]\n", "0", []string{"no space left on device", ".slipway has 0 B free of 1 MiB"}},
		{"cache", "cache", "      output: [{type: oci, path: out/app.tar}]\n      cache: {to: [{type: local, path: cache}]}\n", "0", []string{"no space left on device", " free of 1 MiB"}},
		{"temporary", "tmp", "      output: [{type: oci, path: out/app.tar}]\n", "0", nil},
		{"registry", "registry", "      push: {repository: \"${{ vars.registry }}/app\", tags: [v1]}\n", "5", []string{"registry's disk is full: ", " free of 1 MiB, and "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			data := make([]byte, 4<<20)
			_, _ = rand.Read(data)
			for _, dir := range []string{"out", ".slipway", "cache", "tmp", "registry"} {
				if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range map[string]string{"slipway.yaml": disksPipeline + c.more, "app/Dockerfile": "FROM scratch\nCOPY data /data\n", "app/data": string(data)} {
				if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", `
mount -t tmpfs -o size=1m none "$1" || exit 99
[ "$1" != .slipway ] || cat /dev/zero > .slipway/fill 2>/dev/null
slipway registry serve --addr 127.0.0.1:0 --dir registry 2>registry.log & serve=$!
until grep -qs listens registry.log; do sleep 0.1; done
export REGISTRY=$(sed -n 's/registry listens on //p' registry.log) TMPDIR="$PWD/tmp"
slipway run --state "$2"; echo "EXIT $?"
ls -A out registry/uploads 2>/dev/null
mount -o remount,size=64m none "$1"; rm -f .slipway/fill
slipway run --state "$2" >again.log 2>&1; echo "AGAIN $?"; cat again.log
kill $serve; cat registry.log`, "sh", c.at, s.state)
			cmd.Dir = s.dir
			cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+s.dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			before, _, _ := strings.Cut(string(out), "EXIT")
			for _, want := range c.says {
				if !strings.Contains(before, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if !strings.Contains(string(out), "EXIT "+c.code+"\n") || !strings.Contains(string(out), "AGAIN 0\n") {
				t.Errorf("want exit code %s, then 0", c.code)
			}
			for line := range strings.Lines(before) {
				if strings.HasPrefix(line, "slipway.yaml:") && (strings.Contains(line, "rpc error") || !strings.HasSuffix(line, ": no space left on device\n") && c.code == "1") {
					t.Errorf("the cause is not said as it is: %s", line)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}
