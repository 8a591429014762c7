package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// apiPort is that of the API server; the others of the cluster follow it. Those of
// the tests and of the demo are others.
const apiPort = "18540"

// A cluster is a Kubernetes with a node that is played. What it costs is nobody's.
type cluster struct {
	b          *Bench
	kubeconfig string
}

// cluster starts one, and a process that ends it when the bench does.
func (b *Bench) cluster(ctx context.Context) (*cluster, error) {
	dir := filepath.Join(b.Dir, "cluster")
	bin := filepath.Join(b.Bin, "slipway-cluster")
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("%w (make bin/slipway-cluster)", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	leash := exec.Command(bin, "down", "--dir", dir, "--purge", "--when-stdin-ends")
	hold, err := leash.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := leash.Start(); err != nil {
		return nil, err
	}
	b.last = append(b.last, func() { hold.Close(); _ = leash.Wait() })
	return &cluster{b, filepath.Join(dir, "kubeconfig")}, b.do(ctx, b.Dir, bin, "up", "--dir", dir, "--node", "kwok", "--api-port", apiPort)
}

func (c *cluster) kubectl(args ...string) []string {
	return append([]string{filepath.Join(c.b.Peers, "kubectl"), "--kubeconfig", c.kubeconfig}, args...)
}

// text runs kubectl, unmeasured, and returns what it prints.
func (c *cluster) text(ctx context.Context, args ...string) (string, error) {
	args = c.kubectl(args...)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl: %w: %s", err, out)
	}
	return string(out), nil
}

// namespace makes one.
func (c *cluster) namespace(ctx context.Context, name string) error {
	if _, err := c.text(ctx, "create", "namespace", name); err != nil {
		return err
	}
	// The ServiceAccount "default" comes a little later, and pods need it.
	_, err := c.text(ctx, "wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s")
	return err
}

// pipelines runs a pipeline from the sources of a service to its pods, with nothing to do.
func pipelines(ctx context.Context, b *Bench) error {
	p, err := b.pipeline(ctx, 1)
	if err != nil {
		return err
	}
	cases := p.cases()
	if err := p.fresh(ctx); err != nil {
		return err
	}
	for _, c := range cases {
		if err := b.do(ctx, p.dir, append([]string{"env"}, append(c.Env, c.Args...)...)...); err != nil {
			return err
		}
	}
	s, err := b.Compare(ctx, "build, push, apply: nothing to do", 1, cases...)
	if err != nil {
		return err
	}
	if err := p.same(ctx); err != nil {
		return err
	}
	b.aim("wall, of the script's", s[0].wall()/s[1].wall(), 0.35)
	b.aim("CPU, of the script's", s[0].cpu()/s[1].cpu(), 0.35)
	return nil
}

// colds is P15: twenty services that nobody has built, to ready pods in a namespace
// that is empty.
func colds(ctx context.Context, b *Bench) error {
	p, err := b.pipeline(ctx, 20)
	if err != nil {
		return err
	}
	cases := append(p.cases(), Case{
		Name: "floor: apply, and wait for the cluster", Args: []string{"sh", "floor.sh"}, Dir: p.dir, Env: []string{"KUBECONFIG=" + p.cluster.kubeconfig},
		Check: func() error { return p.ready("floor") },
	})
	for i := range cases {
		cases[i].Cold = true
		cases[i].Reset = func() error {
			return errors.Join(p.fresh(ctx), os.RemoveAll(filepath.Join(b.Dir, "state")),
				b.do(ctx, p.dir, filepath.Join(b.Peers, "buildctl"), "--addr", p.builder.addr, "prune", "--all"))
		}
	}
	s, err := b.Compare(ctx, "20 services, from nothing to ready", p.n, cases...)
	if err != nil {
		return err
	}
	b.aim("wall, of the script's", s[0].wall()/s[1].wall(), 0.6)
	b.aim("CPU, of the script's", s[0].cpu()/s[1].cpu(), 0.6)
	b.aim("wall, of the floor's", s[0].wall()/s[2].wall(), 1.3)
	return nil
}

// A pipe is a fleet that is rolled out, too.
type pipe struct {
	*fleet
	cluster *cluster
	digests []string // of the images that slipway makes, by service
	round   int
}

func (b *Bench) pipeline(ctx context.Context, n int) (*pipe, error) {
	registry, err := b.registry(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := b.buildkitd(ctx, registry)
	if err != nil {
		return nil, err
	}
	c, err := b.cluster(ctx)
	if err != nil {
		return nil, err
	}
	f, err := b.fleet(ctx, n, registry, peer)
	if err != nil {
		return nil, err
	}
	p := &pipe{fleet: f, cluster: c}
	// The node that is played reports as imageID what a pod's annotation says, and
	// slipway proves what runs by that. So the digests have to be known before; they
	// are those of every build of the same files.
	if err := b.do(ctx, p.dir, p.slipway("slipway.yaml")...); err != nil {
		return nil, err
	}
	for i := range n {
		digest, err := digest(ctx, registry, fmt.Sprintf("ours%d/s%d", n, i))
		if err != nil {
			return nil, err
		}
		p.digests = append(p.digests, digest)
	}
	return p, nil
}

// fresh writes the files of all for repositories and namespaces that hold nothing.
func (p *pipe) fresh(ctx context.Context) error {
	p.round++
	if err := p.write(fmt.Sprintf("-r%d", p.round)); err != nil {
		return err
	}
	var errs []error
	write := func(name, text string) {
		path := filepath.Join(p.dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	var all, pins strings.Builder
	for i := range p.n {
		all.WriteString(strings.NewReplacer("NAME", fmt.Sprintf("s%d", i), "DIGEST", p.digests[i]).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}, annotations: {e2e.slipway.dev/image-id: NAME@DIGEST}}
    spec: {containers: [{name: app, image: NAME, readinessProbe: {httpGet: {path: /, port: 80}}}]}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{port: 80}]}
---
`))
		fmt.Fprintf(&pins, "- {name: s%d, newName: %s, digest: DIGEST-s%d-}\n", i, p.image("theirs", i), i)
	}
	var refs strings.Builder
	for i := range p.n {
		fmt.Fprintf(&refs, "        s%d: \"${{ stages.svc['s%d'].image }}\"\n", i, i)
	}
	write("base/k/all.yaml", all.String())
	write("base/k/kustomization.yaml", "resources: [all.yaml]\n")
	write("pins", "resources: [../base/k]\nimages:\n"+pins.String())
	text, err := os.ReadFile(filepath.Join(p.dir, "slipway.yaml"))
	errs = append(errs, err)
	write("slipway.yaml", string(text)+fmt.Sprintf("  rollout:\n    deploy:\n      kustomize: base/k\n      namespace: %s\n      images:\n%s", p.namespace("ours"), refs.String()))
	write("one.sh", fmt.Sprintf("%s --addr %s build --progress plain --frontend dockerfile.v0 --local context=services/$1 --local dockerfile=services/$1 --metadata-file meta/$1 --output type=image,name=%s/theirs%d%s/$1:latest,push=true\n",
		filepath.Join(p.b.Peers, "buildctl"), p.builder.addr, p.registry, p.n, p.suffix))
	kubectl := strings.Join(p.cluster.kubectl("-n", p.namespace("theirs")), " ")
	write("pipeline.sh", fmt.Sprintf(`set -e
mkdir -p meta theirs
sh build.sh
cp pins theirs/kustomization.yaml
for s in $(ls services); do
	digest=$(sed -n 's/.*"containerimage.digest": "\([^"]*\)".*/\1/p' meta/$s)
	sed -i "s/DIGEST-$s-/$digest/" theirs/kustomization.yaml
done
%s build theirs | %s apply --server-side -f -
ls services | xargs -P8 -I{} %s rollout status deployment/{} --timeout 120s
`, filepath.Join(p.b.Peers, "kustomize"), kubectl, kubectl))
	write("floor.sh", fmt.Sprintf("exec %s -wait base/k/all.yaml %s\n", filepath.Join(p.b.Floor, "apply"), p.namespace("floor")))
	for _, of := range []string{"ours", "theirs", "floor"} {
		errs = append(errs, p.cluster.namespace(ctx, p.namespace(of)))
	}
	return errors.Join(errs...)
}

func (p *pipe) namespace(of string) string { return fmt.Sprintf("%s-%d-%d", of, p.n, p.round) }

func (p *pipe) image(of string, i int) string {
	return fmt.Sprintf("%s/%s%d%s/s%d", p.registry, of, p.n, p.suffix, i)
}

func (p *pipe) cases() []Case {
	env := []string{"KUBECONFIG=" + p.cluster.kubeconfig}
	return []Case{
		{Name: "slipway", Args: p.slipway("slipway.yaml"), Dir: p.dir, Env: env, Check: func() error { return p.ready("ours") }},
		{Name: "buildctl, kustomize, kubectl", Args: []string{"sh", "pipeline.sh"}, Dir: p.dir, Daemons: []*Daemon{p.builder.Daemon}, Check: func() error { return p.ready("theirs") }},
	}
}

// ready says whether all that should run is ready. The status of a Deployment comes
// a little later than that of its pods.
func (p *pipe) ready(of string) error {
	_, err := p.cluster.text(context.Background(), "wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment", "--all", "-n", p.namespace(of), "--timeout=15s")
	return err
}

// applies puts 500 objects into a cluster: into an empty namespace, with nothing
// changed, and with one changed.
func applies(ctx context.Context, b *Bench) error {
	const n = 500
	c, err := b.cluster(ctx)
	if err != nil {
		return err
	}
	round := 0
	value := "a"
	write := func() error {
		var all strings.Builder
		var errs []error
		for i := range n / 5 {
			for _, o := range []string{
				"{apiVersion: v1, kind: ConfigMap, metadata: {name: o%d}, data: {a: VALUE}}",
				"{apiVersion: v1, kind: Secret, metadata: {name: o%d}, stringData: {a: b}}",
				"{apiVersion: v1, kind: ServiceAccount, metadata: {name: o%d}}",
				"{apiVersion: v1, kind: Service, metadata: {name: o%d}, spec: {clusterIP: None, selector: {app: a}}}",
				"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: o%d}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}",
			} {
				if i > 0 {
					o = strings.ReplaceAll(o, "VALUE", "b")
				}
				fmt.Fprintf(&all, strings.ReplaceAll(o, "VALUE", value)+"\n---\n", i)
			}
		}
		for name, text := range map[string]string{
			"k/all.yaml": all.String(), "k/kustomization.yaml": "resources: [all.yaml]\n",
			"chart/Chart.yaml": "apiVersion: v2\nname: many\nversion: 0.1.0\n", "chart/templates/all.yaml": all.String(),
			"kubectl.sh": fmt.Sprintf("set -e\n%s build k | %s apply --server-side -f -\n", filepath.Join(b.Peers, "kustomize"), strings.Join(c.kubectl("-n", fmt.Sprintf("kubectl-%d", round)), " ")),
			"helm.sh":    fmt.Sprintf("exec %s upgrade --install many chart -n helm-%d\n", filepath.Join(b.Peers, "helm"), round),
			"slipway.sh": fmt.Sprintf("exec %s deploy -k k -n slipway-%d --name many --progress plain\n", b.Slipway, round),
			"floor.sh":   fmt.Sprintf("exec %s -try k/all.yaml floor-%d\n", filepath.Join(b.Floor, "apply"), round),
		} {
			path := filepath.Join(b.Dir, name)
			errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
		}
		return errors.Join(errs...)
	}
	names := []string{"slipway", "kubectl", "helm", "floor"}
	cases := make([]Case, len(names))
	for i, name := range names {
		cases[i] = Case{Name: name, Args: []string{"sh", name + ".sh"}, Dir: b.Dir, Env: []string{"KUBECONFIG=" + c.kubeconfig}}
		switch name {
		case "kubectl":
			cases[i].Name = "kustomize, kubectl apply"
		case "floor":
			cases[i].Name = "floor: render, try all, then apply all"
		}
		cases[i].Check = func() error {
			text, err := c.text(ctx, "get", "configmaps,secrets,serviceaccounts,services,roles", "-n", fmt.Sprintf("%s-%d", name, round), "-o", "name")
			got := 0
			for line := range strings.Lines(text) {
				if _, name, ok := strings.Cut(line, "/o"); ok && strings.Trim(name, "0123456789\n") == "" {
					got++
				}
			}
			if err == nil && got != n {
				err = fmt.Errorf("%d objects (want %d)", got, n)
			}
			return err
		}
	}
	renew := func(names ...string) error {
		round++
		errs := []error{write()}
		for _, name := range names {
			errs = append(errs, c.namespace(ctx, fmt.Sprintf("%s-%d", name, round)))
		}
		return errors.Join(errs...)
	}
	for i, name := range names {
		cases[i].Reset = func() error { return renew(name) }
	}
	first, err := b.Compare(ctx, "500 objects, create", n, cases...)
	if err != nil {
		return err
	}
	names = names[:3]
	cases = cases[:3]
	if err := renew(names...); err != nil {
		return err
	}
	for i, c := range cases {
		cases[i].Reset = nil
		if err := b.do(ctx, b.Dir, append([]string{"env"}, append(c.Env, c.Args...)...)...); err != nil {
			return err
		}
	}
	same, err := b.Compare(ctx, "500 objects, unchanged", n, cases...)
	if err != nil {
		return err
	}
	for i := range cases {
		cases[i].Reset = func() error { value = fmt.Sprint("v", time.Now().UnixNano()); return write() }
	}
	one, err := b.Compare(ctx, "500 objects, one changed", n, cases...)
	if err != nil {
		return err
	}
	b.aim("wall, create, of kubectl's", first[0].wall()/first[1].wall(), 0.35)
	b.aim("CPU, create, of kubectl's", first[0].cpu()/first[1].cpu(), 0.35)
	b.aim("wall, create, of helm's", first[0].wall()/first[2].wall(), 0.35)
	b.aim("wall, create, of the floor's", first[0].wall()/first[3].wall(), 1.3)
	b.note("What is unchanged is listed once or twice by kind, and not written: a test of e2e counts the requests.")
	b.aim("wall, unchanged, of kubectl's", same[0].wall()/same[1].wall(), 0.35)
	b.aim("wall, one changed, of kubectl's", one[0].wall()/one[1].wall(), 0.35)
	return nil
}
