package e2e_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestPackages runs the tests of deploy/kube that want a real API server. They
// live beside what they test, in the main module.
func TestPackages(t *testing.T) {
	c := kwok(t)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "TestReal", "./deploy/kube")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_KUBECONFIG="+c.kubeconfig, "GOFLAGS=-trimpath", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
