package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// The tests whose names begin with TestReal run against the API server that the variable names,
// such as one of e2e's slipway-cluster; server-side apply is worth no fake.
const kubeconfigVariable = "SLIPWAY_TEST_KUBECONFIG"

// realCluster is a namespace of its own in a real cluster, seen through a proxy that counts.
type realCluster struct {
	*kube.Cluster
	t         *testing.T
	namespace string
	admin     dynamic.Interface

	mu   sync.Mutex
	sent []string
}

func newReal(t *testing.T) *realCluster {
	t.Helper()
	path := os.Getenv(kubeconfigVariable)
	if path == "" {
		t.Skip(kubeconfigVariable + " is not set")
	}
	direct := &kube.Cluster{Kubeconfig: path}
	config, err := direct.REST(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	r := &realCluster{t: t, namespace: fmt.Sprintf("kube-%d", time.Now().UnixNano())}
	if r.admin, err = direct.Dynamic(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = target.Host },
		Transport: transport, FlushInterval: -1,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.sent = append(r.sent, req.Method+" "+req.URL.RequestURI())
		r.mu.Unlock()
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.Cluster = &kube.Cluster{Kubeconfig: kubeconfig(t, server.URL, "default")}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		_ = r.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Delete(ctx, r.namespace, metav1.DeleteOptions{})
	})
	return r
}

// kubeconfig writes one that names a server without credentials.
func kubeconfig(t *testing.T, server, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: x,
clusters: [{name: x, cluster: {server: %q}}], users: [{name: x, user: {}}],
contexts: [{name: x, context: {cluster: x, user: x, namespace: %q}}]}`, server, namespace)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// take returns what was sent since the last call, and the writes among it.
func (r *realCluster) take() (all, writes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, r.sent = r.sent, nil
	for _, s := range all {
		if !strings.HasPrefix(s, "GET ") && !strings.Contains(s, "dryRun=All") {
			writes = append(writes, s)
		}
	}
	return all, writes
}

func (r *realCluster) set(text string) deploy.Set {
	return deploy.Set{Pipeline: "shop", Name: "rollout", Environment: "staging", Namespace: r.namespace, Objects: objects(r.t, text)}
}

func (r *realCluster) diff(set deploy.Set) []deploy.Change {
	r.t.Helper()
	changes, err := r.Diff(r.t.Context(), set)
	if err != nil {
		r.t.Fatal(err)
	}
	return changes
}

func (r *realCluster) apply(set deploy.Set) []string {
	r.t.Helper()
	var said []string
	if err := r.Apply(r.t.Context(), set, r.diff(set), func(s deploy.Status) { said = append(said, s.Message+" "+s.Object) }); err != nil {
		r.t.Fatal(err)
	}
	return said
}

// changed returns the changes that are none, and the diff of the others.
func changed(changes []deploy.Change) map[string]string {
	diffs := map[string]string{}
	for _, c := range changes {
		if c.Op != deploy.Unchanged {
			diffs[string(c.Op)+" "+c.Object.Kind()+" "+c.Object.Name()] = c.Diff
		}
	}
	return diffs
}

func (r *realCluster) patchAs(manager string, gvr schema.GroupVersionResource, name, patch string) {
	r.t.Helper()
	_, err := r.admin.Resource(gvr).Namespace(r.namespace).Patch(r.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		r.t.Fatal(err)
	}
}

func deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

// objects reads YAML documents.
func objects(t *testing.T, text string) []deploy.Object {
	t.Helper()
	var objs []deploy.Object
	for _, doc := range strings.Split(text, "\n---\n") {
		var body map[string]any
		if err := yaml.Unmarshal([]byte(doc), &body); err != nil {
			t.Fatal(err)
		}
		objs = append(objs, deploy.Object{Body: body})
	}
	return objs
}

// many holds a kind of each sort of list, default and format that servers change.
const many = `
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: sec}
stringData: {pw: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http, name: a}, {port: 80, protocol: UDP, name: b}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, creationTimestamp: null}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, creationTimestamp: null}
    spec:
      containers:
      - name: web
        image: example.com/web@sha256:1111111111111111111111111111111111111111111111111111111111111111
        ports: [{containerPort: 8080, name: http}]
        env: [{name: A, value: "1"}, {name: B, valueFrom: {configMapKeyRef: {name: conf, key: a}}}]
        resources: {limits: {cpu: 0.5, memory: 1024Mi}, requests: {cpu: 100m}}
        volumeMounts: [{name: v, mountPath: /v}]
        readinessProbe: {httpGet: {path: /, port: http}}
        securityContext: {capabilities: {drop: [ALL]}}
      volumes: [{name: v, emptyDir: {}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: db:1}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cj}
spec:
  schedule: "0 0 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a:1}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: p}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}`
