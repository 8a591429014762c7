package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// containerdSocket is short whatever DIR is: a folder of ours is bound to /run/containerd.
const containerdSocket = "/run/containerd/containerd.sock"

// noDNS is of a network that exists in books only.
const noDNS = "198.51.100.53"

// writeNodeConfig writes the configuration of containerd, its registries, CNI and the kubelet.
func writeNodeConfig(l layout, s settings) error {
	files := map[string]string{
		l.run("containerd.toml"):           containerdConfig(l),
		l.run("cni", "10-bridge.conflist"): cniConfig(l),
		l.run("kubelet.yaml"):              kubeletConfig(l, s),
	}
	for _, r := range s.Registries {
		files[l.run("certs.d", r, "hosts.toml")] = fmt.Sprintf(`server = "http://%[1]s"
[host."http://%[1]s"]
  capabilities = ["pull", "resolve"]
`, r)
	}
	for file, text := range files {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// containerdConfig is for containerd 1.6. Without CAP_SYS_RESOURCE an oom_score_adj below our
// own is refused, hence restrict_oom_score_adj.
func containerdConfig(l layout) string {
	return fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd/state"
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %q
`, l.run("containerd"), containerdSocket, l.run("containerd-opt"), pauseImage, cniPlugins, l.run("cni"), l.run("certs.d"))
}

// cniConfig joins pods to the bridge. The plugin is not told that it is the gateway, because it
// would then turn on forwarding for the whole machine; routes name what pods may reach.
func cniConfig(l layout) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0", "name": "slipway-cluster",
  "plugins": [
    {"type": "bridge", "bridge": %q, "isGateway": false, "ipMasq": false,
     "ipam": {"type": "host-local", "dataDir": %q,
              "ranges": [[{"subnet": %q, "gateway": %q}]],
              "routes": [{"dst": %q}, {"dst": %q}]}}
  ]}
`, bridge, l.run("node", "ipam"), podCIDR, podGateway, nodeIP+"/32", serviceCIDR)
}

// kubeletConfig: DNS is at an address that pods have no route to, so that a lookup fails at once
// and no event complains that there is no DNS. Image collection is off, evictions too.
func kubeletConfig(l layout, s settings) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %s
port: %d
healthzBindAddress: 127.0.0.1
healthzPort: %d
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %q}}
authorization: {mode: Webhook}
tlsCertFile: %q
tlsPrivateKeyFile: %q
containerRuntimeEndpoint: unix://%s
volumePluginDir: /var/lib/kubelet/volume-plugins
cgroupDriver: cgroupfs
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
failCgroupV1: false                # true by default since 1.35
failSwapOn: false
protectKernelDefaults: true        # its sysctls are covered (mounts.go): complain, never write
makeIPTablesUtilChains: false
oomScoreAdj: 0                     # the default needs CAP_SYS_RESOURCE
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: ""
registryPullQPS: 0
serializeImagePulls: false
nodeStatusUpdateFrequency: 5s
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", imagefs.available: "0%%", nodefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
`, nodeIP, s.APIPort+kubeletOffset, s.APIPort+kubeletHealthOffset, l.pki("ca.crt"),
		l.pki("kubelet.crt"), l.pki("kubelet.key"), containerdSocket, noDNS)
}

// kubeletCommand runs the kubelet; node_init.go calls it, inside the node's namespaces.
func kubeletCommand(ctx context.Context, args []string, _, stderr io.Writer) error {
	l, err := dirFlag(flag.NewFlagSet(kubeletInstance, flag.ContinueOnError), args, stderr)
	if err != nil {
		return err
	}
	c := kubelet.NewKubeletCommand(ctx)
	c.SetArgs([]string{
		"--config=" + l.run("kubelet.yaml"), "--kubeconfig=" + l.pki("kubelet.kubeconfig"),
		"--hostname-override=" + nodeName, "--node-ip=" + nodeIP, "--v=1",
	})
	if code := cli.Run(c); code != 0 {
		return fmt.Errorf("exit code %d", code)
	}
	return errors.New("ended by itself")
}
