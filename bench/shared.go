package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// A meter is a proxy before a registry that counts what is sent to it.
type meter struct {
	addr string
	sent atomic.Int64 // bytes of bodies
	asks atomic.Int64
}

func (b *Bench) meter(registry string) (*meter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &meter{addr: l.Addr().String()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: registry})
		r.Out.Host = r.In.Host // what the registry calls itself in its answers
	}}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asks.Add(1)
		r.Body = &counted{r.Body, &m.sent}
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }()
	b.last = append(b.last, func() { server.Close() })
	return m, nil
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// apart is a bench in a folder of its own, with an empty registry and what counts for it.
func (b *Bench) apart(ctx context.Context, name string) (own *Bench, registry string, m *meter, err error) {
	of := *b
	of.daemons, of.last, of.Dir = nil, nil, filepath.Join(b.Dir, name)
	if err := os.Mkdir(of.Dir, 0o755); err != nil {
		return nil, "", nil, err
	}
	if registry, err = of.registry(ctx); err == nil {
		m, err = of.meter(registry)
	}
	if err != nil {
		of.end()
	}
	return &of, registry, m, err
}

// shares pushes a hundred images on one base of 200 MB into a registry that holds
// nothing, and counts what is sent.
func shares(ctx context.Context, b *Bench) error {
	const n, size = 100, 200 << 20
	base := filepath.Join(b.Dir, "fleet", "base")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte{7}) // that nothing compresses
	data, err := os.Create(filepath.Join(base, "data"))
	if err != nil {
		return err
	}
	defer data.Close()
	if _, err := io.CopyN(data, noise, size); err != nil {
		return err
	}
	dir := filepath.Dir(base)
	var errs []error
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	write("base/Dockerfile", "FROM scratch\nCOPY data /data\n")
	for i := range n {
		write(fmt.Sprintf("services/s%d/Dockerfile", i), "FROM base\nCOPY main /main\n")
		write(fmt.Sprintf("services/s%d/main", i), fmt.Sprintf("the program of service %d\n", i))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Each has a registry of its own, and the base is a part of what it builds.
	type way struct {
		c        Case
		registry string
		meter    *meter
		root     string
	}
	names := []string{"slipway", "buildctl × 8"}
	ways := make([]way, len(names))
	for i, name := range names {
		own, registry, m, err := b.apart(ctx, fmt.Sprintf("way%d", i))
		if err != nil {
			return err
		}
		defer own.end()
		c := Case{Name: name, Dir: dir, Cold: true, Most: time.Nanosecond} // once: then the registry is not empty
		switch i {
		case 0:
			text := fmt.Sprintf("slipway: v1\nname: shared\nstages:\n  base: {build: {context: base}}\n  svc:\n    matrix: {svc: \"${{ dirs('services/*') }}\"}\n"+
				"    build: {context: \"services/${{ matrix.svc }}\", contexts: {base: \"${{ stages.base.image }}\"}, push: {repository: \"%s/${{ matrix.svc }}\", tags: [latest]}}\n", m.addr)
			err = os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(text), 0o644)
			c.Args = []string{b.Slipway, "run", "--progress", "plain", "--state", filepath.Join(own.Dir, "state")}
		case 1:
			peer, started := own.buildkitd(ctx, m.addr)
			if started != nil {
				return started
			}
			build := fmt.Sprintf("%s --addr %s build --progress plain --frontend dockerfile.v0 --local context=$1 --local dockerfile=$1 --opt context:base=docker-image://%s/base:latest --output type=image,name=%s/$2:latest,push=true\n",
				filepath.Join(b.Peers, "buildctl"), peer.addr, m.addr, m.addr)
			err = errors.Join(os.WriteFile(filepath.Join(dir, "one.sh"), []byte(build), 0o644),
				os.WriteFile(filepath.Join(dir, "all.sh"), []byte("set -e\nsh one.sh base base\nls services | xargs -P8 -I{} sh one.sh services/{} {}\n"), 0o644))
			c.Args, c.Daemons = []string{"sh", "all.sh"}, []*Daemon{peer.Daemon}
		}
		if err != nil {
			return err
		}
		ways[i] = way{c, registry, m, filepath.Join(own.Dir, "registry")}
	}
	s, err := b.Compare(ctx, "100 images on 200 MB, empty registry", n, ways[0].c, ways[1].c)
	if err != nil {
		return err
	}
	for i, w := range ways {
		distinct, err := blobs(w.root)
		if err != nil {
			return err
		}
		b.note("%s: %.2f MB in %d requests, for %.2f MB of distinct blobs.", w.c.Name, float64(w.meter.sent.Load())/1e6, w.meter.asks.Load(), float64(distinct)/1e6)
		if i == 0 {
			b.aim("bytes sent, of distinct blobs", float64(w.meter.sent.Load())/float64(distinct), 1.01)
		}
	}
	b.aim("bytes sent, of buildctl's", float64(ways[0].meter.sent.Load())/float64(ways[1].meter.sent.Load()), 1.01)
	b.aim("wall, of buildctl's", s[0].wall()/s[1].wall(), 1)
	b.aim("CPU, of buildctl's", s[0].cpu()/s[1].cpu(), 1)
	return b.copies(ctx, ways[0].registry, n)
}

// copies copies the images to other registries that hold nothing.
func (b *Bench) copies(ctx context.Context, from string, n int) error {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("s%d", i)
	}
	each := func(to, command string) string {
		return fmt.Sprintf("for i in %s; do echo $i; done | xargs -P8 -I{} %s\n", strings.Join(names, " "), strings.NewReplacer("FROM", from+"/{}:latest", "TO", to+"/{}:latest").Replace(command))
	}
	var cases []Case
	var meters []*meter
	for _, name := range []string{"slipway", "crane × 8", "skopeo × 8"} {
		own, registry, m, err := b.apart(ctx, "copies-"+name[:5])
		if err != nil {
			return err
		}
		defer own.end()
		meters = append(meters, m)
		script, text := "", ""
		switch name {
		case "slipway":
			text = fmt.Sprintf("slipway: v1\nname: copies\nstages:\n  svc:\n    matrix: {svc: [%s]}\n    copy: {image: \"%s/${{ matrix.svc }}:latest\", to: {repository: \"%s/${{ matrix.svc }}\", tags: [latest]}}\n",
				strings.Join(names, ", "), from, m.addr)
			script = "exec " + b.Slipway + " run --progress plain\n"
		case "crane × 8":
			script = each(m.addr, filepath.Join(b.Peers, "crane")+" copy --insecure FROM TO")
		default:
			script = each(m.addr, "skopeo copy -q --all --src-tls-verify=false --dest-tls-verify=false docker://FROM docker://TO")
		}
		if err := errors.Join(os.WriteFile(filepath.Join(own.Dir, "slipway.yaml"), []byte(text), 0o644), os.WriteFile(filepath.Join(own.Dir, "run.sh"), []byte(script), 0o644)); err != nil {
			return err
		}
		cases = append(cases, Case{
			Name: name, Args: []string{"sh", "run.sh"}, Dir: own.Dir, Cold: true, Most: time.Nanosecond,
			Check: func() error {
				for _, i := range []int{0, n / 2, n - 1} {
					before, err := digest(ctx, from, names[i])
					if err != nil {
						return err
					}
					after, err := digest(ctx, registry, names[i])
					if err != nil || after != before {
						return errors.Join(err, fmt.Errorf("%s is %s (want %s)", names[i], after, before))
					}
				}
				return nil
			},
		})
	}
	s, err := b.Compare(ctx, "the same, copied to an empty registry", n, cases...)
	if err != nil {
		return err
	}
	for i, c := range cases {
		b.note("%s: %.2f MB in %d requests to the registry that images are copied to.", c.Name, float64(meters[i].sent.Load())/1e6, meters[i].asks.Load())
	}
	b.aim("bytes sent by a copy, of skopeo's", float64(meters[0].sent.Load())/float64(meters[2].sent.Load()), 1.01)
	for i, name := range []string{"crane's", "skopeo's"} {
		b.aim("wall of a copy, of "+name, s[0].wall()/s[i+1].wall(), 1)
		b.aim("CPU of a copy, of "+name, s[0].cpu()/s[i+1].cpu(), 1)
	}
	return nil
}

// blobs sums what the registry in a folder holds.
func blobs(root string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "/blobs/") || d.Name() != "data" {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
