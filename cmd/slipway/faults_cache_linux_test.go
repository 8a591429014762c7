package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit/faults"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

// A cacheCell is one kind of request to a registry that holds a cache and nothing
// else, that goes wrong in one way, while a pipeline writes it or reads it.
type cacheCell struct {
	way, what, name, host string // what goes wrong, as the table calls it; of its stage and of its cache
	proxy                 *faults.Proxy
	outcome               string
	problems              []string
}

// TestRegistryCacheFaults lets every kind of request for a cache in a registry go
// wrong in every way. The image is built and pushed in any case. What is said of the
// cache is written down in testdata/faults-cache.golden.
//
// PATCH has no row, here and in [TestRegistryFaults]: slipway and BuildKit send a blob
// in one piece, and both tests check that nobody asks for it. A registry's own side
// of it is tested with the registry.
func TestRegistryCacheFaults(t *testing.T) {
	world := faultyWorld(t)
	if world == nil {
		return
	}
	defer close(world.stop)
	healthy := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	defer healthy.Close()
	images := healthy.Listener.Addr().String()
	seed := &registry.Server{Dir: t.TempDir()}
	seeds := httptest.NewServer(seed)
	defer seeds.Close()

	var cells []*cacheCell
	dir := t.TempDir()
	add := func(way, what string, upstream *registry.Server, kind faults.Kind, n int, of func(faults.Request) bool) {
		c := &cacheCell{way: way, what: what, name: fmt.Sprintf("c%d", len(cells))}
		c.proxy, c.host = world.proxy(t, upstream, kind, n, of)
		cells = append(cells, c)
		writeFile(t, filepath.Join(dir, c.name, "Dockerfile"), "FROM scratch\nCOPY name /name\n")
		writeFile(t, filepath.Join(dir, c.name, "name"), c.name)
		writeFile(t, filepath.Join(dir, c.name+".yaml"), "slipway: v1\nname: faults\nstages:\n  app:\n    build: {context: "+c.name+", push: "+images+"/"+c.name+
			", cache: {"+map[string]string{"write": "to", "read": "from"}[way]+": [{type: registry, ref: \""+c.host+"/cache:"+c.name+"\"}]}}\n")
	}
	var seeded []string
	for n, fault := range faults.All("", 0, nil) {
		if fault.Name == "503" || fault.Once && fault.Name != "401 once" && fault.Name != "reset once" {
			continue // 503 is as 500, and trying again as in TestRegistryFaults
		}
		for _, kind := range []faults.Kind{faults.Token, faults.HeadManifest, faults.HeadBlob, faults.PostUpload, faults.PutUpload, faults.PutManifest} {
			if kind == faults.HeadBlob && fault.Name == "reset" {
				continue // is asked for 80 times, which takes a minute; HEAD manifest is alike
			}
			add("write", string(kind), &registry.Server{Dir: t.TempDir()}, kind, n, nil)
		}
		for _, kind := range []faults.Kind{faults.Token, faults.HeadManifest, faults.GetManifest, faults.GetBlob} {
			add("read", string(kind), seed, kind, n, nil)
			seeded = append(seeded, cells[len(cells)-1].name)
		}
		first := new(firstOnly)
		add("read", "GET layer", seed, faults.GetBlob, n, first.others)
		seeded = append(seeded, cells[len(cells)-1].name)
	}
	world.login(t)
	writeFile(t, filepath.Join(dir, "seed.yaml"), "slipway: v1\nname: faults\nstages:\n  app:\n    matrix: {name: ["+strings.Join(seeded, ", ")+
		"]}\n    build: {context: \"${{ matrix.name }}\", cache: {to: [{type: registry, ref: \""+seeds.Listener.Addr().String()+"/cache:${{ matrix.name }}\"}]}}\n")
	if code, said := slipwayWith(t.Context(), dir, "seed", builderFor(t)); code != exitOK || strings.Contains(said, "left out") {
		t.Fatalf("exit code %d\n%s", code, said)
	}

	socket := builderFor(t) // which knows nothing
	var running sync.WaitGroup
	places := make(chan struct{}, 64) // most of the time is spent waiting to try again
	for _, c := range cells {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c.run(t.Context(), dir, socket)
		})
	}
	running.Wait()
	var table strings.Builder
	for _, c := range cells {
		for _, problem := range c.problems {
			t.Errorf("%s %s %s: %s", c.way, c.what, c.proxy.Fault.Name, problem)
		}
		fmt.Fprintf(&table, "%-5s  %-13s  %-22s  %s\n", c.way, c.what, c.proxy.Fault.Name, c.outcome)
	}
	world.check(t)
	compareTable(t, filepath.Join("testdata", "faults-cache.golden"), table.String())
}

// A firstOnly tells the first path, which is that of what lists the layers, from
// others.
type firstOnly struct {
	once sync.Once
	path string
}

func (f *firstOnly) others(r faults.Request) bool {
	if r.Kind != faults.GetBlob {
		return false
	}
	f.once.Do(func() { f.path = r.Path })
	return r.Path != f.path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// slipwayWith runs a pipeline of a folder with the builder.
func slipwayWith(ctx context.Context, dir, name, socket string) (code int, said string) {
	var out bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &out, patience: silence, env: func(string) (string, bool) { return "", false }}
	code = a.main(ctx, []string{"run", "-f", filepath.Join(dir, name+".yaml"), "--state", filepath.Join(dir, "state-"+name), "--builder", socket, "--progress", "plain"})
	return code, out.String()
}

// run builds with the cache.
func (c *cacheCell) run(ctx context.Context, dir, socket string) {
	problem := func(format string, args ...any) { c.problems = append(c.problems, fmt.Sprintf(format, args...)) }
	code, said := slipwayWith(ctx, dir, c.name, socket)
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		fmt.Printf("=== %s %s %s: %d fired %d of %d\n%s", c.way, c.what, c.proxy.Fault.Name, code, c.proxy.Fired(), len(c.proxy.Seen()), said)
	}
	c.outcome = "nothing is said"
	if strings.Contains(said, "the cache was left out: ") {
		c.outcome = "a warning"
	}
	if code != exitOK {
		problem("exit code %d\n%s", code, said)
	}
	if c.proxy.Fired() == 0 {
		problem("nothing went wrong: the proxy did not fire in %d requests\n%s", len(c.proxy.Seen()), said)
	}
	for _, secret := range []string{"secret", "let-me-in", "YWRhOnNlY3JldA"} {
		if strings.Contains(said, secret) {
			problem("a credential is said\n%s", said)
		}
	}
	const tries = 96 // BuildKit's, containerd's, and ours on a connection that broke, multiplied
	seen := map[string]int{}
	for _, r := range c.proxy.Seen() {
		path, _, _ := strings.Cut(r.Path, "?")
		seen[r.Method+" "+path]++
		if r.Kind == faults.PatchUpload {
			problem("uploads come in one piece: there is no PATCH that could go wrong")
		}
	}
	for what, n := range seen {
		if n > tries {
			problem("%d requests: %s", n, what)
		}
	}
}
