// Command render does what cannot be left out where kustomize renders the overlays of
// P8: kustomize itself, on a few services at a time, so that its cost does not grow with
// their square. The layers are flattened beforehand, nothing is checked, and objects
// are printed as they come. So its output is no use to anybody; its cost is a floor.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// atOnce is how many services are the cheapest.
const atOnce = 4

func main() {
	if err := render(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A kustomization is what the overlays of P8 have.
type kustomization struct {
	Resources []string         `json:"resources"`
	Namespace string           `json:"namespace"`
	Prefix    string           `json:"namePrefix"`
	Labels    []map[string]any `json:"labels"`
	Images    []map[string]any `json:"images,omitempty"`
	Patches   []map[string]any `json:"patches,omitempty"`
}

func render(overlay string) error {
	text, err := os.ReadFile(filepath.Join(overlay, "kustomization.yaml"))
	if err != nil {
		return err
	}
	var all kustomization
	if err := yaml.Unmarshal(text, &all); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(overlay, "../base/*/all.yaml"))
	if err != nil {
		return err
	}
	images, patches := map[string]map[string]any{}, map[string]map[string]any{}
	for _, i := range all.Images {
		images[filepath.Base(i["name"].(string))] = i
	}
	for _, p := range all.Patches {
		patches[p["target"].(map[string]any)["name"].(string)] = p
	}
	out := bufio.NewWriter(os.Stdout)
	for len(files) > 0 {
		n := min(atOnce, len(files))
		some := all
		some.Resources, some.Images, some.Patches = nil, nil, nil
		disk := filesys.MakeFsInMemory()
		for i, f := range files[:n] {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%d.yaml", i)
			if err := disk.WriteFile("/"+name, text); err != nil {
				return err
			}
			some.Resources = append(some.Resources, name)
			service := filepath.Base(filepath.Dir(f))
			if i, ok := images[service]; ok {
				some.Images = append(some.Images, i)
			}
			if p, ok := patches[service]; ok {
				some.Patches = append(some.Patches, p)
			}
		}
		files = files[n:]
		if text, err = yaml.Marshal(some); err != nil {
			return err
		}
		if err := disk.WriteFile("/kustomization.yaml", text); err != nil {
			return err
		}
		rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/")
		if err != nil {
			return err
		}
		if text, err = rendered.AsYaml(); err != nil {
			return err
		}
		if _, err := out.Write(append(text, "---\n"...)); err != nil {
			return err
		}
	}
	return out.Flush()
}
