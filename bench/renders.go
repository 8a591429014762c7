package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// renders renders overlays of more and more objects. The bytes have to be those of
// kustomize.
func renders(ctx context.Context, b *Bench) error {
	sizes := []int{100, 300, 1000, 3000}
	if b.Gate {
		sizes = []int{100, 300}
	}
	var ours, theirs []*Series
	for _, n := range sizes {
		dir := filepath.Join(b.Dir, fmt.Sprint(n))
		if err := overlay(dir, n); err != nil {
			return err
		}
		over := filepath.Join(dir, "overlay")
		cases := []Case{
			{Name: "slipway", Args: []string{b.Slipway, "render", "-k", over}, Dir: dir, Stdout: filepath.Join(dir, "slipway.yaml")},
			{Name: "kustomize build", Args: []string{filepath.Join(b.Peers, "kustomize"), "build", over}, Dir: dir, Stdout: filepath.Join(dir, "kustomize.yaml")},
			{Name: "floor: kustomize, four services at a time", Args: []string{filepath.Join(b.Floor, "render"), over}, Dir: dir, Stdout: os.DevNull},
		}
		if n <= 1000 {
			cases = append(cases, Case{Name: "kubectl kustomize", Args: []string{filepath.Join(b.Peers, "kubectl"), "kustomize", over}, Dir: dir, Stdout: filepath.Join(dir, "kubectl.yaml")})
		}
		s, err := b.Compare(ctx, fmt.Sprintf("%d objects", n), n, cases...)
		if err != nil {
			return err
		}
		if err := same(cases[0].Stdout, cases[1].Stdout); err != nil {
			return err
		}
		if n <= 1000 {
			if err := same(cases[0].Stdout, cases[3].Stdout); err != nil {
				return err
			}
		}
		ours, theirs = append(ours, s[0]), append(theirs, s[1])
		if n == 1000 {
			b.aim("CPU for 1000 objects, of kustomize's", s[0].cpu()/s[1].cpu(), 0.10)
			b.aim("CPU for 1000 objects, of the floor's", s[0].cpu()/s[2].cpu(), 1.3)
		}
	}
	last := len(sizes) - 1
	if b.Gate {
		b.promise("CPU, of kustomize's", ours[last].cpu()/theirs[last].cpu(), 1.5)
		return nil
	}
	b.aim("exponent of CPU, 100 to 1000 objects", exponent(ours[0], ours[2], (*Series).cpu), 1.2)
	b.aim("exponent of CPU, 1000 to 3000 objects", exponent(ours[2], ours[3], (*Series).cpu), 1.2)
	return nil
}

// same says whether two files have the same bytes.
func same(a, b string) error {
	left, err := os.ReadFile(a)
	if err != nil {
		return err
	}
	right, err := os.ReadFile(b)
	if err != nil {
		return err
	}
	if len(left) == 0 || !bytes.Equal(left, right) {
		return fmt.Errorf("%s (%d bytes) and %s (%d bytes) are not the same", a, len(left), b, len(right))
	}
	return nil
}

// overlay writes n objects in groups of ten, as teams have them, and an overlay that
// changes all.
func overlay(dir string, n int) error {
	groups := n / 10
	var errs []error
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
	}
	var bases, images, patches strings.Builder
	for g := range groups {
		name := fmt.Sprintf("svc%d", g)
		write(fmt.Sprintf("base/%s/kustomization.yaml", name), "resources: [all.yaml]\n")
		write(fmt.Sprintf("base/%s/all.yaml", name), service(name))
		fmt.Fprintf(&bases, "- %s\n", name)
		if g%10 == 0 {
			fmt.Fprintf(&images, "- {name: example.com/%s, newTag: v2}\n", name)
			fmt.Fprintf(&patches, "- target: {kind: Deployment, name: %s}\n  patch: |\n    - {op: replace, path: /spec/replicas, value: 3}\n", name)
		}
	}
	write("base/kustomization.yaml", "resources:\n"+bases.String())
	write("overlay/kustomization.yaml", "resources: [../base]\nnamespace: staging\nnamePrefix: st-\n"+
		"labels: [{pairs: {tier: staging}, includeSelectors: true}]\nimages:\n"+images.String()+"patches:\n"+patches.String())
	return errors.Join(errs...)
}

// service is ten objects that name each other.
func service(name string) string {
	const text = `apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
data: {mode: fast, level: info}
---
apiVersion: v1
kind: Secret
metadata: {name: NAME}
stringData: {token: none}
---
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec:
  selector: {app: NAME}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: 1
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers:
      - name: app
        image: example.com/NAME:v1
        envFrom: [{configMapRef: {name: NAME}}, {secretRef: {name: NAME}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: NAME}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}
  minReplicas: 1
  maxReplicas: 5
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: NAME}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: NAME}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: NAME}
spec:
  rules:
  - host: NAME.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: NAME, port: {number: 80}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: NAME}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [NAME], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: NAME}
subjects: [{kind: ServiceAccount, name: NAME}]
`
	return strings.ReplaceAll(text, "NAME", name)
}
