package kube

import (
	"testing"
)

func TestDifferenceNamesOwners(t *testing.T) {
	const live = `{
  apiVersion: apps/v1, kind: Deployment,
  metadata: {name: web, labels: {a: "1", "x.y/z": b}, managedFields: [
    {manager: slipway, operation: Apply, fieldsV1: {"f:spec": {"f:replicas": {}}}},
    {manager: kubectl-edit, operation: Update, fieldsV1: {"f:metadata": {"f:labels": {".": {}, "f:x.y/z": {}}},
      "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:image": {}, "f:args": {}}}}}}}},
    {manager: hpa, operation: Update, subresource: scale, fieldsV1: {"f:spec": {"f:replicas": {}}}},
    {manager: kubelet, operation: Update, subresource: status, fieldsV1: {"f:spec": {"f:replicas": {}}}},
    {manager: other, operation: Apply, fieldsV1: {"f:spec": {"f:replicas": {}}}}]},
  spec: {replicas: 2, paused: true, template: {spec: {containers: [{name: web, image: a, args: [a, b]}, {name: side, image: a}]}}}}`
	const want = `metadata.labels.a: 1 → 2
metadata.labels[x.y/z]: b → (none) (owned by kubectl-edit)
spec.paused: true → false
spec.replicas: 2 → 3 (owned by hpa, kubectl-edit, other)
spec.template.spec.containers[web].args[1]: b → c (owned by kubectl-edit)
spec.template.spec.containers[web].image: a → b (owned by kubectl-edit)
spec.template.spec.containers[side].image: a → b`
	got, differ := Difference(body(t, live), body(t, `{
  apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {a: "2"}},
  spec: {replicas: 3, paused: false, template: {spec: {containers: [{name: web, image: b, args: [a, c]}, {name: side, image: b}]}}}}`))
	if !differ || got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
