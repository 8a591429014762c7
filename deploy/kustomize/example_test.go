package kustomize_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy/kustomize"
)

func ExampleRenderer_Render() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{
		"kustomization.yaml": "resources: [conf.yaml]\nnamePrefix: my-\n",
		"conf.yaml":          "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			fmt.Println(err)
			return
		}
	}
	objs, err := (&kustomize.Renderer{Root: dir}).Render(context.Background(), ".")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s from %s:%d\n", objs[0], objs[0].File, objs[0].Line)
	text, err := kustomize.Encode(objs)
	fmt.Print(string(text), err)
	// Output:
	// ConfigMap my-conf from conf.yaml:1
	// apiVersion: v1
	// kind: ConfigMap
	// metadata:
	//   name: my-conf
	// <nil>
}
