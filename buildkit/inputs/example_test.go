package inputs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/inputs"
)

func ExampleReader_Inputs() {
	dir, err := os.MkdirTemp("", "context")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{
		"Dockerfile": "FROM golang:1.26 AS build\nCOPY . .\n",
		"main.go":    "package main\n",
		"notes.md":   "nobody needs this\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}
	r := inputs.Reader{Resolve: func(_ context.Context, ref string) (string, error) {
		return "sha256:0b5a…", nil // a registry knows
	}}
	in, err := r.Inputs(context.Background(), buildkit.Spec{
		Context:   dir,
		Include:   []string{"*.go"},
		Platforms: []string{"linux/amd64"},
	})
	fmt.Println(in.Files, in.Bytes, in.Bases, len(in.Key), err)
	// Output: 1 13 map[golang:1.26:sha256:0b5a…] 64 <nil>
}
