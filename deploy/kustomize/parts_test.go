package kustomize_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy/kustomize"
)

// equal fails where a folder rendered in parts is not what kustomize makes of it, and
// reports whether it was rendered in parts at all.
func equal(t *testing.T, dir string, size int) bool {
	t.Helper()
	inParts, why := kustomize.Parts(t.Context(), dir, size)
	whole, err := kustomize.Whole(t.Context(), dir)
	if why != nil {
		return false
	}
	if err != nil {
		t.Fatalf("as a whole it fails, and in parts it does not: %v", err)
	}
	want, err := kustomize.Encode(whole)
	if err != nil {
		t.Fatal(err)
	}
	got, err := kustomize.Encode(inParts)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatalf("in parts:\n%s\nas a whole:\n%s", got, want)
	}
	return true
}

// four is what the trees of the tests are made of: a ServiceAccount that another part
// refers to, and three that refer to it.
const four = `
-- base/kustomization.yaml --
resources: [a.yaml, b.yaml]
-- base/a.yaml --
apiVersion: v1
kind: ServiceAccount
metadata: {name: one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: two}
spec: {template: {spec: {serviceAccountName: one, containers: [{name: app, image: "example.com/app:1"}]}}}
-- base/b.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: three}
spec: {template: {spec: {serviceAccountName: one, containers: [{name: app, image: app, envFrom: [{configMapRef: {name: conf}}]}]}}}
--- # and a comment
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: four}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: none}
subjects: [{kind: ServiceAccount, name: one}]
`

// TestParts renders trees in parts of one object, for each that a kustomization may
// have; what is not proven has to be said to be so.
func TestParts(t *testing.T) {
	for name, row := range map[string]struct {
		top   string // kustomization
		files string
		whole bool // nothing is proven
	}{
		"nothing":          {top: "resources: [base]"},
		"prefix":           {top: "{resources: [base], namePrefix: x-, nameSuffix: -y}"},
		"empty documents":  {top: "{resources: [base, more.yaml, less.yaml], namePrefix: x-}", files: "-- more.yaml --\n# whose it is\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata:\n  a: |\n    b\n---\n# none\n\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: two}}\n---\n-- less.yaml --\n\n---\n# none\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}\n---\n"},
		"a list and less":  {top: "{resources: [base, list.yaml]}", files: "-- list.yaml --\n# whose it is\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}]\n---\n"},
		"namespace":        {top: "{resources: [base], namespace: there}"},
		"its Namespace":    {top: "{resources: [base, ns.yaml], namespace: there}", files: "-- ns.yaml --\n{apiVersion: v1, kind: Namespace, metadata: {name: one}}\n"},
		"labels":           {top: "{resources: [base], labels: [{pairs: {a: one}, includeSelectors: true}], commonAnnotations: {b: two}}"},
		"images":           {top: "{resources: [base], images: [{name: app, newName: other}, {name: example.com/app, newTag: '2'}, {name: other, newTag: '3'}, {name: none, newTag: '4'}]}"},
		"image by pattern": {top: "{resources: [base], images: [{name: '.*app', newName: other}]}"},
		"replicas":         {top: "{resources: [base], namePrefix: x-, replicas: [{name: two, count: 3}, {name: x-three, count: 4}]}"},
		"generator":        {top: "{resources: [base], configMapGenerator: [{name: conf, literals: [a=b]}], secretGenerator: [{name: one, literals: [a=b]}], generatorOptions: {labels: {a: b}}}"},
		"generator merges": {top: "{resources: [mid], namePrefix: y-, configMapGenerator: [{name: conf, behavior: merge, literals: [c=d]}]}", files: "-- mid/kustomization.yaml --\n{resources: [../base], configMapGenerator: [{name: conf, literals: [a=b]}]}\n"},
		"patch":            {top: "{resources: [base], namePrefix: x-, patches: [{path: p.yaml}]}", files: "-- p.yaml --\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: two}, spec: {template: {spec: {serviceAccountName: three}}}}\n---\n{apiVersion: apps/v1, kind: Deployment, metadata: {name: three}, spec: {replicas: 4}}\n"},
		"patch by target":  {top: "resources: [base]\nnameSuffix: -y\npatches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/replicas\", \"value\": 5}]'}, {target: {name: t.*}, patch: '[{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {\"a\": \"b\"}}]'}, {target: {kind: Job}, patch: '[{\"op\": \"remove\", \"path\": \"/spec\"}]'}]"},
		"patch that names": {top: "{resources: [base, c.yaml], namePrefix: x-, patches: [{target: {name: two}, patch: '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/serviceAccountName\", \"value\": \"five\"}]'}]}", files: "-- c.yaml --\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: five}}\n"},
		"patch deletes":    {top: "resources: [base]\npatches:\n- patch: |\n    $patch: delete\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: two}\n"},
		"twice":            {top: "resources: [one, two]", files: "-- one/kustomization.yaml --\n{resources: [../base], namePrefix: m-}\n-- two/kustomization.yaml --\n{resources: [../base], namePrefix: n-, namespace: there}\n"},
		"subjects":         {top: "{resources: [base, s.yaml, o.yaml], namePrefix: x-, namespace: there}", files: "-- o.yaml --\n{apiVersion: v1, kind: Secret, metadata: {name: other, namespace: there}}\n-- s.yaml --\n{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}, subjects: [{kind: ServiceAccount, name: one, namespace: there}, {kind: ServiceAccount, name: default}]}\n"},
		"a list":           {top: "resources: [base, l.yaml]\nnamePrefix: x-", files: "-- l.yaml --\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: five}}, {apiVersion: v1, kind: Secret, metadata: {name: six}}]}\n"},
		"hash in a name":   {top: "{resources: [base, h.yaml], configMapGenerator: [{name: conf, literals: [a=b]}]}", files: "-- h.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: conf-2222222222}}\n"},

		"empty list":     {top: "{resources: [base, l.yaml]}", files: "-- l.yaml --\n{apiVersion: v1, kind: List, items: []}\n", whole: true},
		"list among":     {top: "{resources: [base, l.yaml]}", files: "-- l.yaml --\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, metadata: {name: five}}]}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: six}}\n", whole: true},
		"order":          {top: "{resources: [base], sortOptions: {order: fifo}}", whole: true},
		"component":      {top: "{resources: [base], components: [c]}", files: "-- c/kustomization.yaml --\n{apiVersion: kustomize.config.k8s.io/v1alpha1, kind: Component, namePrefix: c-}\n", whole: true},
		"replacements":   {top: "resources: [base]\nreplacements: [{source: {kind: ServiceAccount}, targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.spec.serviceAccountName]}]}]", whole: true},
		"deprecated":     {top: "{bases: [base]}", whole: true},
		"configurations": {top: "{resources: [base], configurations: [c.yaml]}", files: "-- c.yaml --\nnamePrefix: [{path: metadata/name}]\n", whole: true},
		"fields":         {top: "{resources: [base], labels: [{pairs: {a: b}, fields: [{path: spec/x, create: true}]}]}", whole: true},
		"capitals":       {top: "{Resources: [base]}", whole: true},
		"build metadata": {top: "{resources: [base], buildMetadata: [originAnnotations]}", whole: true},
		"moves":          {top: "{resources: [base], patches: [{target: {kind: Deployment, name: two}, patch: '[{\"op\": \"replace\", \"path\": \"/metadata/name\", \"value\": \"new\"}]'}]}", whole: true},
		"patch options":  {top: "{resources: [base], patches: [{target: {name: two}, options: {allowNameChange: true}, patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: new}}'}]}", whole: true},
		"data and more":  {top: "{resources: [base], configMapGenerator: [{name: conf, files: [base/a.yaml]}]}", whole: true},
		"marks":          {top: "{resources: [base, m.yaml]}", files: "-- m.yaml --\n{apiVersion: v1, kind: Secret, metadata: {name: m, annotations: {config.kubernetes.io/local-config: 'true'}}}\n", whole: true},
		"no target":      {top: "{resources: [base], patches: [{patch: '{apiVersion: v1, kind: Service, metadata: {name: none}}'}]}", whole: true},
		"no replicas":    {top: "{resources: [base], replicas: [{name: none, count: 1}]}", whole: true},
		"elsewhere":      {top: "resources: [base, m]", files: "-- m/kustomization.yaml --\n{resources: [m.yaml], replicas: [{name: two, count: 2}]}\n-- m/m.yaml --\n{apiVersion: v1, kind: Secret, metadata: {name: m}}\n", whole: true},
		"collision":      {top: "{resources: [base, m]}", files: "-- m/kustomization.yaml --\n{resources: [m.yaml], namePrefix: o}\n-- m/m.yaml --\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: ne}}\n", whole: true},
		"separator":      {top: "{resources: [base, m.yaml]}", files: "-- m.yaml --\n{apiVersion: v1, kind: Secret, metadata: {name: m}}\n--- {}\n{apiVersion: v1, kind: Secret, metadata: {name: n}}\n", whole: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, "-- kustomization.yaml --\n"+row.top+"\n"+four+row.files)
			for _, size := range []int{1, 2} {
				if got := equal(t, dir, size); got == row.whole {
					_, why := kustomize.Parts(t.Context(), dir, size)
					t.Errorf("in parts of %d: %v (%v)", size, got, why)
				}
			}
		})
	}
}

// TestPartsOfFiles renders all kustomizations of the repository, and those of other
// tests.
func TestPartsOfFiles(t *testing.T) {
	dirs := []string{filepath.Join(unpack(t, shop), "base"), filepath.Join(unpack(t, shop), "overlays/staging")}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if name := strings.ToLower(filepath.Base(path)); err == nil && (name == "kustomization.yaml" || name == "kustomization.yml") {
			dirs = append(dirs, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	some := 0
	for _, dir := range dirs {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		if equal(t, dir, 1) {
			some++
		}
	}
	if some == 0 {
		t.Errorf("none of %d was rendered in parts", len(dirs))
	}
}

// choices are what a tree is made from: each byte decides something.
type choices []byte

func (c *choices) of(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := int((*c)[0])
	*c = (*c)[1:]
	return b % n
}

func (c *choices) word(words ...string) string { return words[c.of(len(words))] }
func (c *choices) name() string {
	return c.word("a", "b", "c", "d", "e", "x-a", "x-b", "a-y", "default", "ns")
}

// object is one that refers to some others by name.
func (c *choices) object(n int) string {
	space := c.word("", "", "", ", namespace: ns", ", namespace: other")
	meta := "metadata: {name: " + c.name() + c.word("", fmt.Sprint(n)) + space + "}"
	pod := fmt.Sprintf("{serviceAccountName: %s, imagePullSecrets: [{name: %s}], containers: [{name: %s, image: '%s', envFrom: [{configMapRef: {name: %s}}, {secretRef: {name: %s}}]}]}",
		c.name(), c.name(), c.name(), c.word("a", "b:1", "r/a:2", "r:5/a@sha256:00"), c.name(), c.name())
	switch c.of(9) {
	case 0:
		return "{apiVersion: v1, kind: ServiceAccount, " + meta + "}"
	case 1:
		return "{apiVersion: v1, kind: ConfigMap, " + meta + ", data: {k: '1.50'}}"
	case 2:
		return "{apiVersion: v1, kind: Secret, " + meta + "}"
	case 3:
		return "{apiVersion: v1, kind: Service, " + meta + ", spec: {selector: {app: " + c.name() + "}}}"
	case 4:
		return "{apiVersion: apps/v1, kind: Deployment, " + meta + ", spec: {replicas: 1, template: {spec: " + pod + "}}}"
	case 5:
		return "{apiVersion: v1, kind: Namespace, metadata: {name: " + c.word("ns", "other", "a") + "}}"
	case 6, 7:
		subject := "{kind: ServiceAccount, name: " + c.name() + c.word("", ", namespace: ns", ", namespace: other", ", namespace: default") + "}"
		kind := c.word("RoleBinding", "ClusterRoleBinding")
		return "{apiVersion: rbac.authorization.k8s.io/v1, kind: " + kind + ", " + meta + ", roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: " + c.name() + "}, subjects: [" + subject + "]}"
	}
	return "{apiVersion: rbac.authorization.k8s.io/v1, kind: " + c.word("Role", "ClusterRole") + ", " + meta + ", rules: [{apiGroups: [''], resources: [secrets], resourceNames: [" + c.name() + "], verbs: [get]}]}"
}

// layer is a kustomization of some resources.
func (c *choices) layer(resources string) string {
	var b strings.Builder
	b.WriteString("resources: [" + resources + "]\n")
	for _, field := range []func() string{
		func() string { return "namePrefix: " + c.word("x-", "z-") },
		func() string { return "nameSuffix: -y" },
		func() string { return "namespace: " + c.word("ns", "other", "new") },
		func() string {
			return "labels: [{pairs: {app: " + c.name() + "}, includeSelectors: " + c.word("true", "false") + "}]"
		},
		func() string { return "commonAnnotations: {nginx.ingress.kubernetes.io/auth-secret: " + c.name() + "}" },
		func() string {
			return "images: [{name: " + c.word("a", "b", "r/a", "'.*a'") + ", newName: " + c.word("a", "r/a", "new") + ", newTag: v2}, {name: a, newTag: v3}]"
		},
		func() string { return "replicas: [{name: " + c.name() + ", count: 3}]" },
		func() string {
			return "patches: [{target: {kind: Deployment, name: " + c.word("a", "b", "'.*'", "x.a") + "}, patch: '[{\"op\": \"add\", \"path\": \"/spec/template/spec/serviceAccountName\", \"value\": \"" + c.name() + "\"}]'}]"
		},
		func() string {
			return "patches: [{patch: '{apiVersion: v1, kind: " + c.word("Service", "ConfigMap") + ", metadata: {name: " + c.name() + c.word("", ", namespace: ns") + "}, " + c.word("data: {p: q}", "$patch: delete") + "}'}]"
		},
		func() string {
			return "configMapGenerator: [{name: " + c.name() + c.word("", ", behavior: merge", ", behavior: replace", ", namespace: ns") + ", literals: [a=" + c.name() + "]}]"
		},
		func() string {
			return "secretGenerator: [{name: " + c.name() + ", literals: [a=b]" + c.word("", ", options: {disableNameSuffixHash: true}") + "}]"
		},
	} {
		if c.of(7) == 1 {
			b.WriteString(field() + "\n")
		}
	}
	return b.String()
}

// tree is a few layers with a few objects.
func (c *choices) tree() string {
	var b strings.Builder
	var bases, mids []string
	for n := range 1 + c.of(3) {
		fmt.Fprintf(&b, "-- b%d/all.yaml --\n", n)
		b.WriteString(c.word("", "", "# whose it is\n---\n", "\n---\n", "---\n"))
		for i := range 1 + c.of(5) {
			b.WriteString(c.object(10*n+i) + c.word("\n---\n", "\n---\n", "\n---\n---\n", "\n---\n# none\n---\n"))
		}
		b.WriteString(c.object(10*n+9) + c.word("\n", "\n", "\n---\n", "\n---\n# none\n"))
		fmt.Fprintf(&b, "-- b%d/kustomization.yaml --\n%s", n, c.layer("all.yaml"))
		bases = append(bases, fmt.Sprintf("../b%d", n))
	}
	for n := range c.of(3) {
		fmt.Fprintf(&b, "-- m%d/kustomization.yaml --\nnamePrefix: m%d-\n%s", n, n, c.layer(bases[c.of(len(bases))]))
		mids = append(mids, fmt.Sprintf("../m%d", n))
	}
	if len(mids) == 0 || c.of(2) == 1 {
		mids = append(mids, bases...)
	}
	fmt.Fprintf(&b, "-- top/kustomization.yaml --\n%s", c.layer(strings.Join(mids, ", ")))
	return b.String()
}

// TestPartsOfSomeTrees does what FuzzParts does, with the same trees every time.
func TestPartsOfSomeTrees(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := 0
	for range 150 {
		c := make(choices, 400)
		for i := range c {
			c[i] = byte(random.Uint32())
		}
		text := c.tree()
		if equal(t, filepath.Join(unpack(t, text), "top"), 1) {
			some++
		}
		if t.Failed() {
			t.Fatal(text)
		}
	}
	if some < 10 {
		t.Errorf("%d trees were rendered in parts", some)
	}
}

func FuzzParts(f *testing.F) {
	f.Add([]byte("some trees"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := choices(b)
		dir := filepath.Join(unpack(t, c.tree()), "top")
		for _, size := range []int{1, 2} {
			equal(t, dir, size)
		}
	})
}
