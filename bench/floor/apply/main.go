// Command apply does what cannot be left out to create the objects of P9: it reads
// them and sends each to the API server, eight at a time, by server-side apply. With
// -try it sends each as a dry run first, and writes only when all went well: what it
// takes to refuse an object that the API server does not want before half of the
// others have been written. It renders nothing, looks at no answer but for errors, and
// remembers nothing. So it deploys nothing that anybody could rely on; its cost is a floor.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// paths are where the API server has the kinds of P9.
var paths = map[string]string{
	"ConfigMap":      "/api/v1/namespaces/%s/configmaps/%s",
	"Secret":         "/api/v1/namespaces/%s/secrets/%s",
	"ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts/%s",
	"Service":        "/api/v1/namespaces/%s/services/%s",
	"Role":           "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles/%s",
}

func main() {
	try := flag.Bool("try", false, "send each as a dry run first")
	flag.Parse()
	err := apply(context.Background(), flag.Arg(0), flag.Arg(1), *try)
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

func apply(ctx context.Context, file, namespace string, try bool) error {
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
	return send(ctx, client, objects, "")
}

func read(file, host, namespace string) ([]object, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var objects []object
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
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
