package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// full runs a script in which $1 is a folder with little room, mounted in a
// namespace of the script's own.
func full(t *testing.T, s scene, size, script string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounts as root alone")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount -t tmpfs -o size=`+size+` none "$1" && `+script, "sh", s.state)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "REGISTRY=127.0.0.1:1", "DOCKER_CONFIG="+s.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

const fullPipeline = `slipway: v1
name: full
stages:
  big:
    build: {context: big}
  test:
    exec: {image: "${{ stages.big.image }}", command: [/true]}
  small:
    build: {context: small}
  ok:
    exec: {image: "${{ stages.small.image }}", command: [/true]}
`

// A state folder that is full says so with sizes, and can be used again.
func TestNoSpaceForState(t *testing.T) {
	s := newScene(t)
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs Debian's busybox-static:", err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(s.dir+"/"+name, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("slipway.yaml", []byte(fullPipeline))
	for _, dir := range []string{"big", "small"} {
		if err := os.Mkdir(s.dir+"/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(dir+"/Dockerfile", []byte("FROM scratch\nCOPY . /\n"))
		write(dir+"/true", busybox)
	}
	write("big/data", []byte(strings.Repeat("0123456789abcdef", 4<<20)))

	out := full(t, s, "48m", `
slipway run --only test --state "$1"; echo "EXIT $?"
cat /dev/zero > "$1/fill" 2>/dev/null # not a byte is left
slipway cache prune --all --state "$1" || exit 1
rm "$1/fill"
slipway run --only ok --state "$1" || exit 1
slipway cache du --state "$1"`)
	for _, want := range []string{"the context has 65.9 MiB: ", "no space left on device", "EXIT 1", " free of 48 MiB", "slipway cache prune"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	// Not even what a build begins with has room.
	out = full(t, s, "64k", `slipway run --only ok --state "$1"; echo "EXIT $?"`)
	if !strings.Contains(out, "EXIT 1") || !strings.Contains(out, " free of 64 KiB") {
		t.Errorf("without any room: %s", out)
	}
}
