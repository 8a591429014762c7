package kube_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func numbers(revisions []deploy.Revision) (all []int) {
	for _, r := range revisions {
		all = append(all, r.Number)
	}
	return all
}

// source knows nothing.
type source []string

func (source) Locate(deploy.Object, deploy.Path) (file string, line int) { return "", 0 }

func TestRemembers(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	set.Objects[0].Source = source{"text of a file"}
	set.Pins = []deploy.Pin{{Object: "Deployment web", Container: "web", Ref: "web@sha256:1", Digest: "sha256:1"}}
	release(t, c, set, nil)
	more := littleSet(t, strings.Replace(little, `a: "1"`, `a: "2"`, 1))
	release(t, c, more, errors.New("Deployment web: crash-loop\nmore"))
	got, err := c.Revisions(t.Context(), set)
	if err != nil || !slices.Equal(numbers(got), []int{2, 1}) {
		t.Fatalf("got %v, %v", got, err)
	}
	if got[1].State != deploy.StateProven || got[1].Run != jan || got[1].Set.Pins[0] != set.Pins[0] || got[1].Ended.IsZero() {
		t.Errorf("got %+v", got[1])
	}
	if got[0].State != deploy.StateFailed || got[0].Cause != "Deployment web: crash-loop" {
		t.Errorf("got %+v", got[0])
	}
	if to := deploy.LastProven(got, 0); to == nil || to.Number != 1 {
		t.Errorf("last proven: got %v", to)
	}
	back, _ := got[1].Back()
	if back.Content() != set.Content() {
		t.Error("what is remembered is not what was applied")
	}
}

func TestTheSameAgainIsNoNewRevision(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	release(t, c, set, errors.New("it crashes"))
	release(t, c, set, nil) // judged again, and well now
	f.objects["/api/v1/namespaces/shop/configmaps/conf"]["data"] = map[string]any{"a": "drifted"}
	release(t, c, set, nil)
	got, err := c.Revisions(t.Context(), set)
	if err != nil || len(got) != 1 || got[0].State != deploy.StateProven {
		t.Errorf("got %v, %v", got, err)
	}
}

// webs is a set of Deployments, with a ConfigMap that is written with the last.
func webs(t *testing.T, names ...string) deploy.Set {
	set := confs(t, names[len(names)-1])
	for _, n := range names {
		set.Objects = append(set.Objects, objects(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: `+n+`}, spec: {template: {spec: {containers: [{name: web, image: "web:1"}]}}}}`)...)
	}
	return set
}

// TestWhatFailedIsJudgedAgain lets a run fail, and looks at what the next ones
// would judge although nothing differs: what was written and not proven, and
// nothing else.
func TestWhatFailedIsJudgedAgain(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	release(t, c, webs(t, "a", "b"), nil)
	failing := webs(t, "a", "b", "c")
	release(t, c, failing, errors.New("it crashes"))
	judged := func(set deploy.Set) (names []string) {
		for _, change := range mustDiff(t, c, set) {
			if change.Op == deploy.Conclude {
				names = append(names, change.Object.Name())
			}
		}
		return names
	}
	if got := judged(failing); !slices.Equal(got, []string{"c"}) {
		t.Errorf("after a run that wrote c: got %q", got)
	}
	more := webs(t, "a", "b", "c", "d")
	if got := judged(more); !slices.Equal(got, []string{"c"}) {
		t.Errorf("beside a change: got %q", got)
	}
	release(t, c, more, errors.New("it crashes again"))
	if got := judged(more); !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("after another run that failed: got %q", got)
	}
	release(t, c, more, nil)
	if got := mustDiff(t, c, more); deploy.Changing(got) {
		t.Errorf("after it was proven: got %v", changed(got))
	}
}

func TestHistoryIsBounded(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	c.Keep = 2
	release(t, c, confs(t, "a"), nil)
	for _, name := range []string{"b", "c", "d"} {
		release(t, c, confs(t, "a", name), errors.New("it crashes"))
	}
	got, err := c.Revisions(t.Context(), confs(t))
	if err != nil || !slices.Equal(numbers(got), []int{4, 3, 1}) {
		t.Errorf("got %v, %v, want the newest two and the last that was proven", numbers(got), err)
	}
}

func TestHistoryHoldsNoSecretOfAnotherNamespace(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	set := littleSet(t, `
{apiVersion: v1, kind: Secret, metadata: {name: here}, stringData: {pw: hunter2}}
---
{apiVersion: v1, kind: Secret, metadata: {name: there, namespace: kube-system}, stringData: {pw: hunter3}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: "1"}}`)
	release(t, c, set, nil)
	got, err := c.Revisions(t.Context(), set)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	text, _ := json.Marshal(got)
	if !strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "hunter3") {
		t.Errorf("got %s", text)
	}
	back, lasting := got[0].Back()
	if len(back.Objects) != 2 || len(lasting) != 1 || lasting[0] != "Secret kube-system/there (its former value is not kept)" {
		t.Errorf("got %v, %q", back.Objects, lasting)
	}
	if got := mustDiff(t, c, back); deploy.Changing(got) {
		t.Errorf("going back would change %v", changed(got))
	}
	for path, body := range f.objects {
		if strings.HasPrefix(path, historyPath) && (body["type"] != "slipway.dev/revision" || body["kind"] != "Secret") {
			t.Errorf("%s is %v", path, body)
		}
	}
}
