package solve

import (
	"errors"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestCheckAllowed(t *testing.T) {
	tests := []struct {
		text  string
		args  map[string]string
		allow []string
		line  int // zero means allowed
	}{
		{text: "FROM scratch\n"},
		{text: "# syntax=docker/dockerfile:1\nFROM scratch\n"},
		{text: "# syntax=docker.io/docker/dockerfile:1.7\nFROM scratch\n"},
		{text: "# syntax=docker/dockerfile:1.7-labs\nFROM scratch\n", line: 1},
		{text: "#!/bin/x\n# syntax=example.com/mine:1\nFROM scratch\n", line: 2},
		{text: "# syntax=example.com/mine:1\nFROM scratch\n", allow: []string{"example.com/mine:1"}},
		{text: "FROM scratch\nRUN --network=host true\n", line: 2},
		{text: "FROM scratch\nRUN --network=host true\n", allow: []string{"network.host"}},
		{text: "FROM scratch\n\nrun --mount=type=cache,target=/x --security=insecure \\\n true\n", line: 3},
		{text: "FROM scratch\nRUN --network=none true\n"},
		{text: "FROM scratch\n", args: map[string]string{"BUILDKIT_SYNTAX": "docker/dockerfile:1"}},
	}
	for _, tt := range tests {
		err := checkAllowed(buildkit.Spec{Allow: tt.allow, Args: tt.args}, []byte(tt.text))
		var got *buildkit.SolveError
		if !errors.As(err, &got) {
			got = &buildkit.SolveError{}
		}
		if got.Line != tt.line {
			t.Errorf("%q: %v, want line %d", tt.text, err, tt.line)
		}
	}
}
