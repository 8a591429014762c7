package inputs_test

import (
	"path/filepath"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/inputs"
)

func TestMemory(t *testing.T) {
	m := &inputs.Memory{Dir: filepath.Join(t.TempDir(), "passed")}
	if known, err := m.Recall("a"); known || err != nil {
		t.Errorf("before: %v, %v", known, err)
	}
	for range 2 {
		if err := m.Remember("a"); err != nil {
			t.Fatal(err)
		}
	}
	again := &inputs.Memory{Dir: m.Dir}
	for key, want := range map[string]bool{"a": true, "b": false} {
		if known, err := again.Recall(key); known != want || err != nil {
			t.Errorf("%s: %v, %v", key, known, err)
		}
	}
}
