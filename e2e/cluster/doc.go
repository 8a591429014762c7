// Command slipway-cluster is a whole Kubernetes for tests in one binary: etcd, API server,
// controller manager and scheduler in one process, and one node that is either played by kwok
// or is a real kubelet with Debian's containerd.
//
//	slipway-cluster up   --dir DIR --node kwok|kubelet [--registry 127.0.0.1:PORT]… [--api-port N]
//	slipway-cluster down --dir DIR [--purge] [--when-stdin-ends]
//
// The other words it knows (control-plane, node, kubelet) are the processes that up starts.
// A cluster's state is thrown away by down: every up starts an empty one.
//
// # The real node
//
// containerd and the kubelet live in a PID namespace and a mount namespace of their own, below
// one small init (node_init.go). Killing that init is what stops the node: the kernel then kills
// every shim and container, and with the last of them go all mounts and network namespaces, also
// after a kill -9 of anything. Files that kubelet and containerd put at fixed places
// (/var/lib/kubelet, /run/containerd, …) are bound to DIR/run there, and the sysctls that a
// kubelet wants to change are covered by files that already hold its values.
//
// Images come from the registries that --registry names, over plain HTTP. (containerd 1.6 takes
// any other one on loopback for plain HTTP, too.) The pause image is imported, from no registry.
//
// There is no kube-proxy: pods reach each other and the API server (at its service address,
// 10.96.0.1:443), other Services have no address that answers. Pods have no route out and no DNS.
//
// # The kwok node
//
// Pods become ready in well under a second, Jobs complete. Annotations of a pod choose otherwise;
// each may end in ".CONTAINER" to mean one container alone:
//
//	e2e.slipway.dev/image-id: registry/x@sha256:…   the imageID its containers report; none: ""
//	e2e.slipway.dev/fail: image-pull                ErrImagePull, then ImagePullBackOff
//	e2e.slipway.dev/fail: crash-loop                exits with 3, then CrashLoopBackOff, restarts counted
//	e2e.slipway.dev/fail: not-ready                 runs, and is never ready
//	e2e.slipway.dev/fail: exit                      a Job's pod ends with exit code 3
//	e2e.slipway.dev/ready-after: 4s                 runs at once, is ready later (the whole pod)
//	e2e.slipway.dev/finish-after: 4s                a Job's pod runs this long (the whole pod)
//
// An imageID is never copied from the spec, and changes when the pod's annotation does.
//
// # Owns
//
// What a cluster for tests is made of, how it starts, and that nothing of it stays.
//
// # May touch
//
// DIR; loopback ports from --api-port to seven above it. With --node kubelet also the bridge
// slipway0, cgroups named kubepods, and empty folders as mount points, all removed by down.
package main
