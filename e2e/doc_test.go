// Package e2e_test runs the finished slipway binary against a real Kubernetes.
//
// The binaries are made before: bin/slipway and bin/slipway-cluster beside this module, or what
// SLIPWAY_BIN and SLIPWAY_CLUSTER_BIN name. One kwok cluster and, as root, one with a real
// kubelet are started when a test first asks for them, and are gone when the run ends, however it
// ends. Each test has a namespace of its own.
//
// # Owns
//
// What is promised of the whole binary and can only be seen from outside it.
//
// # May touch
//
// Its folder (SLIPWAY_E2E_DIR, by default slipway-e2e-UID in the temporary folder), loopback, and
// what cmd slipway-cluster may touch.
package e2e_test
