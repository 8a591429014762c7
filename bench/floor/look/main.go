// Command look does what cannot be left out to know that images need not be built (P2): it
// is a program with slipway's libraries in it, reads a pipeline file, compiles and evaluates
// its expressions, reads and digests each file of each service, parses the Dockerfiles, and
// asks the registry for the base image and for two tags of each service's, eight at a time,
// over connections that it keeps. It compares nothing with anything and remembers nothing,
// so it knows nothing; its cost is a floor.
//
//	look slipway.yaml services REGISTRY REPOSITORY
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"github.com/slipway-ci/slipway/bench/floor/linked"
)

// atOnce is how many requests are under way at a time.
const atOnce = 8

func main() {
	linked.Keep()
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: look slipway.yaml services REGISTRY REPOSITORY")
		os.Exit(2)
	}
	if err := look(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func look(ctx context.Context, file, services, registry, repository string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var pipeline yaml.Node
	if err := yaml.Unmarshal(text, &pipeline); err != nil {
		return err
	}
	dirs, err := os.ReadDir(services)
	if err != nil {
		return err
	}
	if err := express(); err != nil {
		return err
	}
	manifests := []string{"http://" + registry + "/v2/base/manifests/1"}
	for _, d := range dirs {
		if err := files(filepath.Join(services, d.Name())); err != nil {
			return err
		}
		manifests = append(manifests, "http://"+registry+"/v2/"+repository+"/"+d.Name()+"/manifests/latest")
	}
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(atOnce)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	for _, url := range manifests {
		each.Go(func() error { return errors.Join(head(ctx, client, url), head(ctx, client, url)) })
	}
	return each.Wait()
}

// head asks a registry whether it has a manifest (OCI Distribution Specification, "Pulling
// manifests").
func head(ctx context.Context, client *http.Client, url string) error {
	ask, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	ask.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json")
	answer, err := client.Do(ask)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

// express compiles and evaluates the expressions of the pipeline file: which services there
// are, and what one of them is called.
func express() error {
	env, err := cel.NewEnv(
		cel.Variable("matrix", cel.MapType(cel.StringType, cel.StringType)),
		cel.Function("dirs", cel.Overload("dirs_string", []*cel.Type{cel.StringType}, cel.ListType(cel.StringType),
			cel.UnaryBinding(func(_ ref.Val) ref.Val { return types.NewStringList(types.DefaultTypeAdapter, []string{"s0"}) }))))
	if err != nil {
		return err
	}
	for _, text := range []string{"dirs('services/*')", "matrix.svc"} {
		checked, issues := env.Compile(text)
		if issues.Err() != nil {
			return issues.Err()
		}
		program, err := env.Program(checked)
		if err != nil {
			return err
		}
		if _, _, err := program.Eval(map[string]any{"matrix": map[string]string{"svc": "s0"}}); err != nil {
			return err
		}
	}
	return nil
}

// files digests each file of a context, and parses its Dockerfile.
func files(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, err = d.Info()
		text, readErr := os.ReadFile(path)
		_ = sha256.Sum256(text)
		return errors.Join(err, readErr)
	})
	dockerfile, openErr := os.Open(filepath.Join(dir, "Dockerfile"))
	if err := errors.Join(err, openErr); err != nil {
		return err
	}
	defer dockerfile.Close()
	_, err = parser.Parse(dockerfile)
	return err
}
