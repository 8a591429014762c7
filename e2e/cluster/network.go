package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The addresses of a cluster. Those of the node lie on a bridge of our own, so that nothing
// depends on the machine's real interfaces.
const (
	bridge      = "slipway0"
	podCIDR     = "10.244.0.0/24"
	podGateway  = "10.244.0.1"
	nodeIP      = "10.243.0.1"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1" // of the API server, by Kubernetes' own rule the first
	serviceAddr = serviceIP + ":443"
	fakePodCIDR = "10.245.0.0/16" // of pods that are only played: no packet ever goes there
)

// nodeAddr is the address of one of the cluster's ports on the bridge.
func (s settings) nodeAddr(offset int) string {
	return net.JoinHostPort(nodeIP, strconv.Itoa(s.APIPort+offset))
}

// bridgeOwner returns the folder of the cluster whose bridge exists, or "".
func bridgeOwner() (string, error) {
	b, err := os.ReadFile("/sys/class/net/" + bridge + "/ifalias")
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if owner := strings.TrimSpace(string(b)); owner != "" || err != nil {
		return owner, err
	}
	return "", fmt.Errorf("a network interface %s exists and is not ours", bridge)
}

// addBridge makes the bridge that pods are joined to. The route keeps service addresses on this
// machine. Forwarding stays off: pods reach each other and this machine, nothing else.
func addBridge(ctx context.Context, l layout) error {
	return ip(ctx, fmt.Sprintf(`link add %[1]s type bridge
link set %[1]s alias "%[2]s"
addr add %[3]s/24 dev %[1]s
addr add %[4]s/32 dev %[1]s
addr add %[5]s/32 dev %[1]s
link set %[1]s up
route add %[6]s dev %[1]s
`, bridge, l.dir, podGateway, nodeIP, serviceIP, serviceCIDR))
}

// removeBridge waits until the kernel has taken the pods' links away, then removes the bridge.
func removeBridge(ctx context.Context) error {
	err := poll(ctx, 20*time.Millisecond, "the pods' network links to go", func(context.Context) (bool, error) {
		left, err := filepath.Glob("/sys/class/net/" + bridge + "/brif/*")
		return len(left) == 0, err
	})
	if err != nil {
		return err
	}
	return ip(ctx, "link del "+bridge+"\n")
}

// ip runs a batch of commands of iproute2.
func ip(ctx context.Context, batch string) error {
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %s: %w", bytes.TrimSpace(out), err)
	}
	return nil
}
