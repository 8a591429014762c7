package schema_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kustomize"
	"github.com/slipway-ci/slipway/deploy/schema"
)

// validate renders a file and validates it.
func validate(t *testing.T, v *schema.Validator, text string) []error {
	t.Helper()
	return v.Validate(t.Context(), rendered(t, map[string]string{"all.yaml": text, "kustomization.yaml": "resources: [all.yaml]\n"}), "shop")
}

func rendered(t *testing.T, files map[string]string) []deploy.Object {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	objs, err := (&kustomize.Renderer{Root: dir}).Render(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// TestMistakes changes one line of healthy manifests at a time: that is one
// error, on that line. The manifests themselves have none.
func TestMistakes(t *testing.T) {
	text, err := os.ReadFile("testdata/healthy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	healthy := string(text)
	if errs := validate(t, new(schema.Validator), healthy); len(errs) > 0 {
		t.Fatalf("the healthy manifests: %v", errors.Join(errs...))
	}
	const container = "Deployment web: spec.template.spec.containers[0]"
	for _, row := range []struct{ right, wrong, code, want string }{
		{"  replicas: 2", "  replcas: 2", schema.UnknownField, "Deployment web: spec.replcas: there is no such field (did you mean replicas?)"},
		{"  replicas: 2", `  replicas: "2"`, schema.FieldType, `Deployment web: spec.replicas: "2" is text (want a whole number: take the quotes away)`},
		{"  replicas: 2", "  replicas: 1.5", schema.FieldType, "Deployment web: spec.replicas: 1.5 is a fraction (want a whole number)"},
		{"  replicas: 2", "  replicas: -1", schema.BadField, "Deployment web: spec.replicas: -1 is less than 0"},
		{"  replicas: 2", "  replicas: 3000000000", schema.FieldType, "Deployment web: spec.replicas: 3000000000 is too large"},
		{"  labels: {app: web}", "  labels: {app: web!}", schema.BadField, `Deployment web: metadata.labels.app: "web!" cannot be the value of a label`},
		{"  labels: {app: web}", "  labels: {app/x/y: web}", schema.BadField, `cannot be the key of a label`},
		{"  annotations: {example.com/note: \"1\"}", "  anotations: {example.com/note: \"1\"}", schema.UnknownField, "metadata.anotations: there is no such field (did you mean annotations?)"},
		{"    matchLabels: {app: web}", "    matchLabels: {app: wbe}", schema.BadField, "Deployment web: spec.selector.matchLabels.app: wbe selects no pod: the template's label is web"},
		{"    matchLabels: {app: web}", "    matchLabels: {tier: web}", schema.BadField, "no pod is selected: the template has no label tier"},
		{"    type: RollingUpdate", "    type: Rolling", schema.BadField, `Deployment web: spec.strategy.type: "Rolling" is not allowed`},
		{"    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", "    rollingUpdate: {maxSurge: 0, maxUnavailable: 0}", schema.BadField, "no pod could ever be replaced"},
		{"      restartPolicy: Always", "      restartPolicy: Never", schema.BadField, `"Never" is not allowed in a Deployment (want Always)`},
		{"      - name: init", "      - name: web", schema.BadField, "web is the name of two containers, first on line"},
		{"        image: shop/web:1", "        imagee: shop/web:1", schema.UnknownField, container + ".imagee: there is no such field (did you mean image?)"},
		{"        image: shop/web:1", `        image: ""`, schema.BadField, container + ".image: container web has no image"},
		{"        image: shop/web:1", "        image: 1", schema.FieldType, container + ".image: 1 is a number (want text: put it in quotes)"},
		{"        imagePullPolicy: IfNotPresent", "        imagePullPolicy: IfNotPresnt", schema.BadField, "(did you mean IfNotPresent?)"},
		{`        - {name: LEVEL, value: "1"}`, "        - {name: LEVEL, value: 1}", schema.FieldType, container + ".env[0].value: 1 is a number (want text: put it in quotes)"},
		{"        - {name: MODE, value: fast}", "        - {name: LEVEL, value: fast}", schema.BadField, container + ".env[1].name: LEVEL is a variable of this container twice, first on line"},
		{"valueFrom: {secretKeyRef: {name: keys, key: token}}}", "value: x, valueFrom: {secretKeyRef: {name: keys, key: token}}}", schema.BadField, "variable TOKEN has a value, too"},
		{"        - {name: http, containerPort: 8080}", "        - {name: http, containerPort: 80800}", schema.BadField, container + ".ports[0].containerPort: 80800 is no port"},
		{"        - {name: metrics, containerPort: 9090}", "        - {name: metrics, containerPort: 8080}", schema.BadField, container + ".ports[1].containerPort: 8080/TCP is a port of this container twice"},
		{"        - {name: metrics, containerPort: 9090}", "        - {name: http, containerPort: 9090}", schema.BadField, "http is the name of two ports"},
		{"          limits: {cpu: 500m, memory: 1Gi}", "          limits: {cpu: 500m, memory: 1GB}", schema.FieldType, container + `.resources.limits.memory: "1GB" is no amount (did you mean 1G?)`},
		{"          limits: {cpu: 500m, memory: 1Gi}", "          limit: {cpu: 500m, memory: 1Gi}", schema.UnknownField, "(did you mean limits?)"},
		{"          requests: {memory: 128Mi}", "          requests: {memory: 2Gi}", schema.BadField, container + ".resources.requests.memory: 2Gi is more than its limit, 1Gi"},
		{"          httpGet: {path: /, port: http}", "          initialDelaySeconds: 1", schema.BadField, container + ".readinessProbe: does nothing (want one of exec, httpGet, tcpSocket, grpc)"},
		{"          tcpSocket: {port: 8080}", `          tcpSocket: {port: "8080"}`, schema.BadField, container + ".livenessProbe.tcpSocket.port: is no port (want a number without quotes"},
		{"        - {name: conf, mountPath: /etc/web}", "        - {name: cnof, mountPath: /etc/web}", schema.BadField, container + ".volumeMounts[0].name: there is no volume cnof (did you mean conf?)"},
		{"  - {name: metrics, port: 90}", "  - {port: 90}", schema.BadField, "Service web: spec.ports[1].name: is missing (of several ports each needs a name)"},
		{"  - {name: metrics, port: 90}", "  - {name: metrics, port: 80}", schema.BadField, "80/TCP is written twice"},
		{"  token: aHVudGVyMg==", "  token: hunter2!", schema.FieldType, "Secret keys: data.token: is not base64"},
		{"  token: aHVudGVyMg==", "  token: 123456", schema.FieldType, "Secret keys: data.token: the value is a number (want text in base64)"},
		{`  schedule: "0 3 * * *"`, `  schedule: "0 3 * *"`, schema.BadField, `CronJob nightly: spec.schedule: "0 3 * *" is no schedule`},
		{"          restartPolicy: Never", "          restartPolicy: Always", schema.BadField, `"Always" is not allowed in a CronJob (want OnFailure or Never)`},
		{"  minReplicas: 1", "  minReplicas: 5", schema.BadField, "5 is more than maxReplicas, 3"},
		{"        pathType: Prefix", "        pathType: Prefx", schema.BadField, `"Prefx" is not allowed (did you mean Prefix?)`},
		{"          service: {name: web, port: {name: http}}", "          service: {name: web, port: {name: http, number: 80}}", schema.BadField, "needs either a name or a number"},
		{"        volumeMounts: [{name: data, mountPath: /data}]", "        volumeMounts: [{name: dta, mountPath: /data}]", schema.BadField, "there is no volume dta (did you mean data?)"},
		{"      accessModes: [ReadWriteOnce]", "      accessModes: [ReadWriteOnc]", schema.BadField, "(did you mean ReadWriteOnce?)"},
		{"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: read}", "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Rolle, name: read}", schema.BadField, "(did you mean Role?)"},
		{"  name: queues.example.com", "  name: queue.example.com", schema.BadField, "has to be spec.names.plural and spec.group: queues.example.com"},
		{"  size: 3", "  size: 1", schema.BadField, "Queue mail: spec: size is less than least"},
		{"  size: 3", "  size: 10", schema.BadField, "Queue mail: spec.size: 10 is too large (want 9 or less)"},
		{"  size: 3", "  size: three", schema.FieldType, `Queue mail: spec.size: "three" is text (want a whole number)`},
		{`  since: "2024-01-01T00:00:00Z"`, `  since: "2019-01-01T00:00:00Z"`, schema.BadField, "Queue mail: spec: since is before 2020: 2019-01-01T00:00:00Z"},
		{"  priority: low", "  priority: lwo", schema.BadField, `Queue mail: spec.priority: "lwo" is not allowed (did you mean low?)`},
		{"  name: mail\n  target", "  name: Mail\n  target", schema.BadField, `Queue mail: spec.name: "Mail" does not match ^[a-z]+$`},
		{"  target: 50%", "  target: 0.5", schema.FieldType, "Queue mail: spec.target: 0.5 is a fraction (want a whole number or text)"},
		{"  - {name: b}", "  - {name: a}", schema.BadField, "Queue mail: spec.workers[1]: is there twice: item 0 has the same name"},
		{"  extra: {any: thing}", "  extras: {any: thing}", schema.UnknownField, "Queue mail: spec.extras: there is no such field (did you mean extra?)"},
		{"apiVersion: autoscaling/v2\n", "apiVersion: autoscaling/v2beta2\n", schema.RemovedAPI, "Kubernetes has no autoscaling/v2beta2 HorizontalPodAutoscaler since 1.26 (write apiVersion: autoscaling/v2)"},
		{"kind: StatefulSet", "kind: StatfulSet", schema.UnknownKind, "there is no StatfulSet in apps/v1 (did you mean StatefulSet?)"},
		{"apiVersion: batch/v1", "apiVersion: apps/v1", schema.UnknownKind, "there is no CronJob in apps/v1 (write apiVersion: batch/v1)"},
	} {
		t.Run(row.wrong, func(t *testing.T) {
			at := strings.Index(healthy, row.right)
			if at < 0 {
				t.Fatalf("the healthy manifests have no %q", row.right)
			}
			errs := validate(t, new(schema.Validator), healthy[:at]+row.wrong+healthy[at+len(row.right):])
			var field *deploy.FieldError
			if len(errs) != 1 || !errors.As(errs[0], &field) {
				t.Fatalf("got %d errors: %v", len(errs), errors.Join(errs...))
			}
			if field.Code != row.code || !strings.Contains(field.Text(), row.want) {
				t.Errorf("got %s: %s\nwant %s: %s", field.Code, field.Text(), row.code, row.want)
			}
			if strings.Contains(field.Error(), "hunter2!") || strings.Contains(field.Error(), "123456") {
				t.Errorf("the error shows a secret: %v", field)
			}
			file, line := field.Object.Where(field.Path)
			want := 1 + strings.Count(healthy[:at], "\n")
			near := strings.HasSuffix(field.Path.String(), "Probe") || field.Object.Kind() == "Queue" && field.Path.String() == "spec" ||
				field.Code == schema.UnknownKind || field.Code == schema.RemovedAPI || strings.Contains(row.want, "two containers")
			if file != "all.yaml" || line != want && !near {
				t.Errorf("got %s:%d, want all.yaml:%d", file, line, want)
			}
			if near && (line > want+3 || line < want-8) {
				t.Errorf("got %s:%d, want a line near %d", file, line, want)
			}
		})
	}
}

// TestAllMistakesAtOnce finds what can be found at once, in one go.
func TestAllMistakesAtOnce(t *testing.T) {
	errs := validate(t, new(schema.Validator), `apiVersion: v1
kind: Pod
metadata: {name: Web_1, lables: {a: b}}
spec:
  containers:
  - {name: a, image: x, prots: [], env: {A: b}}
`)
	if got := errors.Join(errs...); len(errs) != 3 {
		t.Errorf("got %d errors: %v", len(errs), got)
	}
	errs = validate(t, new(schema.Validator), "apiVersion: v1\nkind: Pod\nmetadata: {name: Web_1}\nspec: {containers: []}\n")
	if got := errors.Join(errs...); len(errs) != 2 || !strings.Contains(got.Error(), `"Web_1" cannot be a name`) || !strings.Contains(got.Error(), "a pod needs a container") {
		t.Errorf("got %d errors: %v", len(errs), got)
	}
}

func TestTwiceInSet(t *testing.T) {
	objs := rendered(t, map[string]string{
		"kustomization.yaml": "resources: [a.yaml, b.yaml]\n",
		"a.yaml":             "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\n",
		"b.yaml":             "# again\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: shop}\n",
	})
	if errs := new(schema.Validator).Validate(t.Context(), objs, "other"); len(errs) != 0 {
		t.Errorf("two namespaces: got %v", errs)
	}
	errs := new(schema.Validator).Validate(t.Context(), objs, "shop")
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "a.yaml:1: ConfigMap conf: stands twice in the set, first in b.yaml:2 (keep one)") {
		t.Errorf("got %v", errs)
	}
}

// TestPatchedLine finds the line of the patch that wrote a value, not the one
// of what it patches.
func TestPatchedLine(t *testing.T) {
	files := map[string]string{
		"overlay/kustomization.yaml": `resources: [../base]
namePrefix: my-
patches:
- path: patch.yaml
- target: {kind: Deployment, name: web}
  patch: |
    - op: replace
      path: /spec/replicas
      value: x
- target: {kind: Deployment}
  patch: |-
    - {op: add, path: /spec/template/spec/containers/-, value: {name: side, image: s, prots: 1}}
`,
		"overlay/patch.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        imagePullPolicy: Sometimes
        resources:
          limits:
            memory: lots
`,
		"base/kustomization.yaml": "resources: [web.yaml]\n",
		"base/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: first, image: f, tyt: true}
      - name: web
        image: w
`,
		"kustomization.yaml": "resources: [overlay]\n",
	}
	var got []string
	for _, err := range new(schema.Validator).Validate(t.Context(), rendered(t, files), "shop") {
		at, _, _ := strings.Cut(err.Error(), " ")
		_, what, _ := strings.Cut(err.Error(), "my-web: ")
		field, _, _ := strings.Cut(what, ": ")
		got = append(got, at+" "+field)
	}
	want := []string{
		"overlay/kustomization.yaml:9: spec.replicas",
		"overlay/patch.yaml:12: spec.template.spec.containers[0].resources.limits.memory",
		"base/web.yaml:11: spec.template.spec.containers[1].tyt",
		"overlay/kustomization.yaml:12: spec.template.spec.containers[2].prots",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
