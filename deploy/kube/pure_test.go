package kube

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

func body(t *testing.T, text string) map[string]any {
	t.Helper()
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	normalised, err := normal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return normalised
}

// deployment and its live twin are as a real server had them, shortened.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {a: b}}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: web
        image: web:1
        args: [a, b]
        ports: [{containerPort: 80}]
        resources: {limits: {cpu: 0.5, memory: 1024Mi}}
      - name: side
        image: side:1
      volumes: [{name: v, emptyDir: {}}]`

const liveDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: u
  labels: {a: b, theirs: x}
  managedFields:
  - manager: other
    operation: Update
    apiVersion: apps/v1
    fieldsV1: {}
  - manager: slipway
    operation: Apply
    apiVersion: apps/v1
    fieldsV1:
      f:metadata: {f:labels: {f:a: {}}}
      f:spec:
        f:replicas: {}
        f:template:
          f:spec:
            f:containers:
              'k:{"name":"web"}': {".": {}, f:name: {}, f:image: {}, f:args: {}, f:resources: {f:limits: {f:cpu: {}, f:memory: {}}},
                f:ports: {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, f:containerPort: {}}}}
              'k:{"name":"side"}': {".": {}, f:name: {}, f:image: {}}
            f:volumes:
              'k:{"name":"v"}': {".": {}, f:name: {}, f:emptyDir: {}}
spec:
  replicas: 2
  revisionHistoryLimit: 10
  template:
    spec:
      containers:
      - {name: injected, image: x}
      - name: web
        image: web:1
        args: [a, b]
        ports: [{containerPort: 80, protocol: TCP}]
        resources: {limits: {cpu: 500m, memory: 1Gi}}
      - {name: side, image: side:1, imagePullPolicy: IfNotPresent}
      volumes: [{name: v, emptyDir: {}}]
status: {replicas: 2}`

func TestApplied(t *testing.T) {
	for name, row := range map[string]struct {
		old, new string // replaced in deployment
		live     [2]string
		want     bool
	}{
		"same":                {want: true},
		"a value":             {old: "replicas: 2", new: "replicas: 3"},
		"a new field":         {old: "replicas: 2", new: "replicas: 2\n  revisionHistoryLimit: 10"},
		"a field less":        {old: "  replicas: 2\n", new: ""},
		"a label less":        {old: "labels: {a: b}", new: "labels: {}"},
		"a container less":    {old: "      - name: side\n        image: side:1\n", new: ""},
		"a container more":    {old: "      volumes:", new: "      - {name: third, image: x}\n      volumes:"},
		"an argument less":    {old: "args: [a, b]", new: "args: [a]"},
		"another order":       {old: "volumes: [{name: v, emptyDir: {}}]", new: "volumes: [{name: w, emptyDir: {}}]"},
		"same quantity":       {old: "cpu: 0.5", new: "cpu: 500m", want: true},
		"another quantity":    {old: "cpu: 0.5", new: "cpu: 501m"},
		"port by default":     {old: "{containerPort: 80}", new: "{containerPort: 80, protocol: UDP}"},
		"other version":       {old: "apps/v1", new: "apps/v1beta2"},
		"not ours":            {live: [2]string{"manager: slipway", "manager: helm"}},
		"not applied":         {live: [2]string{"manager: slipway\n    operation: Apply", "manager: slipway\n    operation: Update"}},
		"owner lost":          {live: [2]string{"f:replicas: {}", "f:other: {}"}},
		"others' label moved": {live: [2]string{"theirs: x", "theirs: y"}, want: true},
		"no managed fields":   {live: [2]string{"managedFields:", "nothing:"}},
	} {
		desired := body(t, strings.Replace(deployment, row.old, row.new, 1))
		live := body(t, strings.Replace(liveDeployment, row.live[0], row.live[1], 1))
		if got := applied(desired, live); got != row.want {
			t.Errorf("%s: got %v, want %v", name, got, row.want)
		}
	}
	swapped := strings.Replace(strings.Replace(deployment, "      - name: side\n        image: side:1\n", "", 1), "      containers:\n", "      containers:\n      - {name: side, image: side:1}\n", 1)
	if applied(body(t, swapped), body(t, liveDeployment)) {
		t.Error("containers in another order count as the same")
	}
}

func TestDifference(t *testing.T) {
	for name, row := range map[string]struct{ from, to, want string }{
		"nothing":     {"a: 1", "a: 1.0", ""},
		"noise":       {"metadata: {uid: a, generation: 1, managedFields: [1]}", "metadata: {generation: 2, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}}\nstatus: {a: b}", ""},
		"values":      {"spec: {a: 1, b: x, c: [1, 2]}", "spec: {a: 2, c: [1, 3, 4], d: {e: f}}", "spec.a: 1 → 2\nspec.b: x → (none)\nspec.c[1]: 2 → 3\nspec.c[2]: (none) → 4\nspec.d: (none) → {\"e\":\"f\"}"},
		"by name":     {"l: [{name: a, v: 1}, {name: b, v: 1}]", "l: [{name: b, v: 2}, {name: c}]", "l[a]: {\"name\":\"a\",\"v\":1} → (none)\nl[b].v: 1 → 2\nl[c]: (none) → {\"name\":\"c\"}"},
		"order":       {"l: [{name: a}, {name: b}]", "l: [{name: b}, {name: a}]", "l: a, b → b, a"},
		"dotted":      {"metadata: {labels: {a.b/c: x}}", "metadata: {labels: {a.b/c: z}}", "metadata.labels[a.b/c]: x → z"},
		"new labels":  {"metadata: {name: a}", "metadata: {name: a, labels: {a: b, c: d}}", "metadata.labels.a: (none) → b\nmetadata.labels.c: (none) → d"},
		"secret":      {"kind: Secret\ndata: {a: QQ==, b: QQ==}", "kind: Secret\ndata: {a: Qg==, c: QQ==}\ntype: Opaque", "data.a: (secret) → (another secret)\ndata.b: (secret) → (none)\ndata.c: (none) → (secret)\ntype: (none) → Opaque"},
		"new secret":  {"kind: Secret", "kind: Secret\ndata: {a: QQ==}", "data: (none) → (secret)"},
		"empty":       {"a: x", "a: ''", `a: x → ""`},
		"controls":    {"a: x", `a: "\u001b[31m\u202e\n"`, `a: x → "\u001b[31m\u202e\n"`},
		"long":        {"a: x", "a: " + strings.Repeat("y", 500), "a: x → " + strings.Repeat("y", maxValue) + "…"},
		"placeholder": {"a: x", "a: " + strings.Repeat("y", 500) + "@" + deploy.Unknown, "a: x → " + strings.Repeat("y", 500) + "@" + deploy.Unknown},
	} {
		got, differ := Difference(body(t, row.from), body(t, row.to))
		if got != row.want || differ != (row.want != "") {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}
}

func TestLabelValues(t *testing.T) {
	valid := regexp.MustCompile(`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`)
	seen := map[string]string{}
	for _, s := range []string{"shop", "", "a/b", "a-b", "a b", "-a", "ä", "a.", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x", 65), "---", "日本"} {
		got := labelValue(s)
		if len(got) > 63 || !valid.MatchString(got) {
			t.Errorf("%q: got %q", s, got)
		}
		if twin, ok := seen[got]; ok {
			t.Errorf("%q and %q both become %q", s, twin, got)
		}
		seen[got] = s
	}
	if labelValue("shop") != "shop" {
		t.Error("a valid value was changed")
	}
}

func TestObjectNames(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	seen := map[string]bool{}
	for _, s := range []string{"slipway.shop.rollout", "slipway.Shop.rollout", "slipway.sh_op.x", "slipway.a-.b", "slipway..x", strings.Repeat("x", 300), "slipway.ä"} {
		got := objectName(s)
		if len(got) > 253 || !valid.MatchString(got) || seen[got] {
			t.Errorf("%q: got %q", s, got)
		}
		seen[got] = true
	}
	if got := objectName("slipway.shop.rollout"); got != "slipway.shop.rollout" {
		t.Errorf("got %q", got)
	}
}

// The id is that of KEP-3659: base64url(sha256("<name>.<namespace>.<kind>.<group>")).
func TestApplySetID(t *testing.T) {
	set := deploy.Set{Pipeline: "shop", Name: "rollout", Namespace: "prod"}
	if parentName(set) != "slipway.shop.rollout" {
		t.Errorf("got %s", parentName(set))
	}
	// Computed with Python's hashlib and base64.
	if got, want := applySetID(set), "applyset-VvcDC-8UXGRi8fYwVcsjygeFonlVREE5ZR0JinRk3w8-v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStringDataBecomesData(t *testing.T) {
	b := body(t, "kind: Secret\ndata: {a: QQ==, b: QQ==}\nstringData: {b: B}")
	encodeStringData(b)
	if got, _ := Difference(body(t, "data: {a: QQ==, b: Qg==}"), without(b, []string{"kind"})); got != "" {
		t.Errorf("got %s", got)
	}
}

func TestTriesGetOld(t *testing.T) {
	it := &item{object: deploy.Object{Body: body(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")}}
	var tr tries
	began := time.Now()
	if tr.good(it, began) {
		t.Error("good before it was tried")
	}
	tr.note(it, began)
	if !tr.good(it, began.Add(goodFor-1)) {
		t.Error("not good after it was tried")
	}
	if tr.good(it, began.Add(goodFor)) {
		t.Error("still good when it is old")
	}
	it.live = map[string]any{}
	if tr.good(it, began) {
		t.Error("good though it is there by now")
	}
}
