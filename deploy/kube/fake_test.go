package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// fake is an API server that works, as far as objects without defaults and
// lists of named things go: enough for order, writes and refusals. What
// server-side apply really does is seen by the tests in real_test.go.
type fake struct {
	server *httptest.Server

	mu      sync.Mutex
	objects map[string]map[string]any // by path
	sent    []string
	refuse  func(method, path, query string) (code int, status map[string]any)
}

// resources is what the fake serves.
func resources() map[string][]map[string]any {
	return map[string][]map[string]any{
		"/api/v1": {
			{"name": "namespaces", "kind": "Namespace"},
			{"name": "configmaps", "kind": "ConfigMap", "namespaced": true},
			{"name": "secrets", "kind": "Secret", "namespaced": true},
			{"name": "services", "kind": "Service", "namespaced": true},
			{"name": "pods", "kind": "Pod", "namespaced": true},
			{"name": "serviceaccounts", "kind": "ServiceAccount", "namespaced": true},
		},
		"/apis/apps/v1": {
			{"name": "deployments", "kind": "Deployment", "namespaced": true},
			{"name": "deployments/status", "kind": "Deployment", "namespaced": true},
		},
	}
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{objects: map[string]map[string]any{}}
	f.put("/api/v1/namespaces/kube-system", `{apiVersion: v1, kind: Namespace, metadata: {name: kube-system, uid: the-uid}}`)
	f.put("/api/v1/namespaces/shop", `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`)
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) put(path, text string) {
	var body map[string]any
	if err := yaml.Unmarshal([]byte(text), &body); err != nil {
		panic(err)
	}
	f.objects[path] = body
}

func (f *fake) cluster(t *testing.T) *kube.Cluster {
	return &kube.Cluster{Kubeconfig: kubeconfig(t, f.server.URL, "shop")}
}

// take returns the writes since the last call.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := slices.DeleteFunc(f.sent, func(s string) bool { return strings.HasPrefix(s, "GET ") || strings.Contains(s, "dryRun") })
	f.sent = nil
	return sent
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	query, _ := url.QueryUnescape(r.URL.RawQuery)
	f.sent = append(f.sent, strings.TrimSuffix(r.Method+" "+r.URL.Path+"?"+query, "?"))
	if f.refuse != nil {
		if code, status := f.refuse(r.Method, r.URL.Path, query); code != 0 {
			answer(w, code, status)
			return
		}
	}
	if list, ok := resources()[r.URL.Path]; ok {
		answer(w, http.StatusOK, map[string]any{"kind": "APIResourceList", "resources": list})
		return
	}
	switch found := f.objects[r.URL.Path]; {
	case r.Method == http.MethodPost, r.Method == http.MethodPut, r.Method == http.MethodDelete:
		f.write(w, r, found)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/merge-patch+json":
		f.merge(w, r, found)
	case r.Method == http.MethodPatch && r.Header.Get("Content-Type") == "application/json-patch+json":
		f.operate(w, r, found)
	case r.Method == http.MethodPatch:
		f.apply(w, r, found)
	case found != nil:
		answer(w, http.StatusOK, found)
	case r.URL.Query().Has("limit"), r.URL.Query().Has("labelSelector"):
		items := []any{}
		for path, body := range f.objects {
			if strings.HasPrefix(path, r.URL.Path+"/") && selected(body, r.URL.Query().Get("labelSelector")) {
				items = append(items, body)
			}
		}
		answer(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "List", "metadata": map[string]any{}, "items": items})
	default:
		answer(w, http.StatusNotFound, status("NotFound", "not found"))
	}
}

// selected reports whether body has the label, or the label with its value.
func selected(body map[string]any, selector string) bool {
	label, value, exact := strings.Cut(selector, "=")
	got, ok := (deploy.Object{Body: body}).Field("metadata", "labels", label).(string)
	return selector == "" || ok && (!exact || got == value)
}

// write creates, updates and deletes, with the versions and preconditions of the API.
func (f *fake) write(w http.ResponseWriter, r *http.Request, live map[string]any) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && r.Method != http.MethodDelete {
		answer(w, http.StatusBadRequest, status("BadRequest", err.Error()))
		return
	}
	version := func(body map[string]any, field ...string) any { return deploy.Object{Body: body}.Field(field...) }
	path := r.URL.Path
	if r.Method == http.MethodPost {
		path += "/" + deploy.Object{Body: body}.Name()
		live = f.objects[path]
	}
	switch wanted := version(body, "metadata", "resourceVersion"); {
	case r.Method == http.MethodPost && live != nil:
		answer(w, http.StatusConflict, status("AlreadyExists", "it is there already"))
		return
	case r.Method != http.MethodPost && live == nil:
		answer(w, http.StatusNotFound, status("NotFound", "not found"))
		return
	case r.Method == http.MethodPut && wanted != nil && wanted != version(live, "metadata", "resourceVersion"):
		answer(w, http.StatusConflict, status("Conflict", "somebody else changed it"))
		return
	case r.Method == http.MethodDelete:
		uid := version(body, "preconditions", "uid")
		of := version(body, "preconditions", "resourceVersion")
		if uid != nil && uid != version(live, "metadata", "uid") || of != nil && of != version(live, "metadata", "resourceVersion") {
			answer(w, http.StatusConflict, status("Conflict", "it is another one by now"))
			return
		}
		delete(f.objects, path)
		answer(w, http.StatusOK, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"})
		return
	}
	metadata := body["metadata"].(map[string]any)
	metadata["resourceVersion"] = fmt.Sprint(len(f.sent) + 1000)
	metadata["uid"] = "uid-of-" + path
	f.objects[path] = body
	answer(w, http.StatusOK, body)
}

// merge sets annotations, which is all that is merged here.
func (f *fake) merge(w http.ResponseWriter, r *http.Request, live map[string]any) {
	if live == nil {
		answer(w, http.StatusNotFound, status("NotFound", "not found"))
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	annotations, _ := (deploy.Object{Body: body}).Field("metadata", "annotations").(map[string]any)
	there, _ := (deploy.Object{Body: live}).Field("metadata", "annotations").(map[string]any)
	for name, value := range annotations {
		if there[name] = value; value == nil {
			delete(there, name)
		}
	}
	answer(w, http.StatusOK, live)
}

// operate replaces fields of metadata, which is all of JSON patches that is done
// here; a dry-run of one changes nothing.
func (f *fake) operate(w http.ResponseWriter, r *http.Request, live map[string]any) {
	var ops []struct {
		Path  string
		Value any
	}
	_ = json.NewDecoder(r.Body).Decode(&ops)
	metadata, _ := live["metadata"].(map[string]any)
	for _, op := range ops {
		if op.Path == "/metadata/resourceVersion" && op.Value != metadata["resourceVersion"] {
			answer(w, http.StatusConflict, status("Conflict", "somebody else changed it"))
			return
		}
	}
	for _, op := range ops {
		if name, ok := strings.CutPrefix(op.Path, "/metadata/"); ok && !r.URL.Query().Has("dryRun") {
			metadata[name] = op.Value
		}
	}
	answer(w, http.StatusOK, live)
}

func (f *fake) apply(w http.ResponseWriter, r *http.Request, live map[string]any) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, status("BadRequest", err.Error()))
		return
	}
	copied, _ := json.Marshal(body)
	var result map[string]any
	_ = json.Unmarshal(copied, &result)
	owned := fieldsOf(body)
	delete(owned, "f:apiVersion")
	delete(owned, "f:kind")
	delete(owned["f:metadata"].(map[string]any), "f:name")
	delete(owned["f:metadata"].(map[string]any), "f:namespace")
	metadata := result["metadata"].(map[string]any)
	metadata["uid"], metadata["resourceVersion"] = "uid-of-"+r.URL.Path, fmt.Sprint(len(f.sent))
	metadata["managedFields"] = []any{map[string]any{"manager": r.URL.Query().Get("fieldManager"), "operation": "Apply", "apiVersion": body["apiVersion"], "fieldsV1": owned}}
	if !r.URL.Query().Has("dryRun") {
		if before, ok := (deploy.Object{Body: live}).Field("metadata", "annotations").(map[string]any); ok && before["slipway.dev/hold"] != nil { // of another manager
			metadata["annotations"].(map[string]any)["slipway.dev/hold"] = before["slipway.dev/hold"]
		}
		f.objects[r.URL.Path] = result
	}
	answer(w, map[bool]int{true: http.StatusCreated, false: http.StatusOK}[live == nil], result)
}

// fieldsOf returns what an applier of body owns; lists of things with names are by name, others whole.
func fieldsOf(body map[string]any) map[string]any {
	fields := map[string]any{}
	for name, v := range body {
		below := map[string]any{}
		switch v := v.(type) {
		case map[string]any:
			below = fieldsOf(v)
		case []any:
			for _, item := range v {
				item, _ := item.(map[string]any)
				if n, ok := item["name"].(string); ok {
					node := fieldsOf(item)
					node["."] = map[string]any{}
					below[fmt.Sprintf(`k:{"name":%q}`, n)] = node
				}
			}
		}
		fields["f:"+name] = below
	}
	return fields
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func status(reason, message string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": message,
		"code": map[string]int{"NotFound": 404, "BadRequest": 400, "Forbidden": 403, "Conflict": 409, "AlreadyExists": 409, "Unauthorized": 401}[reason],
	}
}

const little = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, template: {spec: {containers: [{name: web, image: "web:1"}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None}}
---
{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {pw: hunter2}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: "1"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: more, namespace: other}, data: {a: "1"}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}`

func littleSet(t *testing.T, text string) deploy.Set {
	return deploy.Set{Pipeline: "shop", Name: "rollout", Namespace: "shop", Objects: objects(t, text)}
}
