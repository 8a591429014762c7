// Command apply does what cannot be left out to create the objects of P9 and P15: it lets
// kustomize render them, a few at a time, with the labels by which whoever deployed them
// finds them again (KEP-3659), and sends each to the API server, eight at a time, by
// server-side apply. With -try it sends each as a dry run first, and writes only
// when all went well: what it takes to refuse an object that the API server does not want
// before half of the others have been written. With -wait it watches until all
// Deployments have their replicas ready. It looks at no answer but for errors, and
// remembers nothing. So it deploys nothing that anybody could rely on; its cost is a floor.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// paths are where the API server has the kinds of P9.
var paths = map[string]string{
	"ConfigMap":      "/api/v1/namespaces/%s/configmaps/%s",
	"Secret":         "/api/v1/namespaces/%s/secrets/%s",
	"ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts/%s",
	"Service":        "/api/v1/namespaces/%s/services/%s",
	"Role":           "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles/%s",
	"Deployment":     "/apis/apps/v1/namespaces/%s/deployments/%s",
}

func main() {
	try := flag.Bool("try", false, "send each as a dry run first")
	wait := flag.Bool("wait", false, "watch until Deployments are ready")
	flag.Parse()
	err := apply(context.Background(), flag.Arg(0), flag.Arg(1), *try, *wait)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// An object is one of the file, as it is sent.
type object struct {
	url  string
	body []byte
}

// apply renders a file of objects and sends them into a namespace.
func apply(ctx context.Context, file, namespace string, try, wait bool) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	objects, err := read(file, config.Host, namespace)
	if err != nil {
		return err
	}
	if try {
		if err := send(ctx, client, objects, "&dryRun=All"); err != nil {
			return err
		}
	}
	if err := send(ctx, client, objects, ""); err != nil || !wait {
		return err
	}
	return ready(ctx, client, config.Host, namespace, len(objects))
}

// ready watches a namespace until each Deployment, which are half of n objects, has as
// many ready replicas as it wants.
func ready(ctx context.Context, client *http.Client, host, namespace string, n int) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, host+fmt.Sprintf(paths["Deployment"], namespace, "")+"?watch=1", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(ask)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	done := map[string]bool{}
	for seen := json.NewDecoder(answer.Body); ; {
		var event struct {
			Object struct {
				Metadata struct{ Name string }
				Spec     struct{ Replicas int }
				Status   struct{ ReadyReplicas int }
			}
		}
		if err := seen.Decode(&event); err != nil {
			return err
		}
		if o := event.Object; o.Status.ReadyReplicas == o.Spec.Replicas {
			done[o.Metadata.Name] = true
		}
		if len(done) == n/2 {
			return nil
		}
	}
}

// atOnce is how many objects are rendered at a time: the cost of kustomize grows with
// their square.
const atOnce = 20

// kustomization gives objects as many labels as slipway does: each is a field that the API
// server has to know the owner of.
const kustomization = `resources: [all.yaml]
labels:
- pairs:
    app.kubernetes.io/managed-by: floor
    applyset.kubernetes.io/part-of: applyset-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-v1
    floor.example.com/deployment: many
    floor.example.com/pipeline: deploy
`

func read(file, host, namespace string) ([]object, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var text []byte
	for some := range slices.Chunk(bytes.Split(raw, []byte("\n---\n")), atOnce) {
		disk := filesys.MakeFsInMemory()
		if err := errors.Join(disk.WriteFile("/all.yaml", bytes.Join(some, []byte("\n---\n"))), disk.WriteFile("/kustomization.yaml", []byte(kustomization))); err != nil {
			return nil, err
		}
		rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/")
		if err != nil {
			return nil, err
		}
		part, err := rendered.AsYaml()
		if err != nil {
			return nil, err
		}
		text = append(append(text, part...), "---\n"...)
	}
	var objects []object
	for doc := range bytes.SplitSeq(text, []byte("---\n")) {
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal(doc, &o); err != nil {
			return nil, err
		}
		path, ok := paths[o.Kind]
		if !ok {
			return nil, fmt.Errorf("no path of kind %s", o.Kind)
		}
		objects = append(objects, object{host + fmt.Sprintf(path, namespace, o.Metadata.Name) + "?fieldManager=floor&force=true", doc})
	}
	return objects, nil
}

func send(ctx context.Context, client *http.Client, objects []object, query string) error {
	var each errgroup.Group
	each.SetLimit(8)
	for _, o := range objects {
		each.Go(func() error {
			ask, err := http.NewRequestWithContext(ctx, http.MethodPatch, o.url+query, bytes.NewReader(o.body))
			if err != nil {
				return err
			}
			ask.Header.Set("Content-Type", "application/apply-patch+yaml")
			answer, err := client.Do(ask)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(answer.Body)
			if answer.StatusCode >= 300 {
				err = errors.Join(err, fmt.Errorf("%s: %s: %s", o.url, answer.Status, text))
			}
			return errors.Join(err, answer.Body.Close())
		})
	}
	return each.Wait()
}
