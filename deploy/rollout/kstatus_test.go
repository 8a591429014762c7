package rollout

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

// kstatus looks at an object's status alone, the judge at its pods. Where they
// differ, this is why.
var differs = map[string]string{
	"podCompletedFailed": "a pod that failed has come to its end, but not to a good one",
	"jobInProgress":      "a Job that runs a migration has to end before anybody depends on it",
	"depNotProgressing":  "all pods of the revision are ready: an old condition of its controller says nothing against them",
	"depNotAvailable":    "the same",
	"rsReplicaFailure":   "the same",
	"rsLessAvailable":    "a pod that is ready serves; minReadySeconds keeps the pods of the revision before, which are waited for",
	"stsExtraPods":       "pods of the revision before that are not ready serve nobody; those that are would be waited for",
	"dsBadStatus":        "what no node takes runs nothing, and that is what the verdict says",
	"dsLessAvailable":    "the same",
	"pvcNoStatus":        "a claim may wait for its first consumer, whose pod tells",
	"serviceLBnok":       "a Service is done when it is applied, unless readiness says more",
	"pdbNotObserved":     "a budget for disruptions is done when it is applied",
}

// TestKstatus judges the objects of kstatus' own tables, with the pods that
// their status speaks of: what is current there is green here, and nothing else.
func TestKstatus(t *testing.T) {
	cases := kstatusCases(t)
	if len(cases) < 40 {
		t.Fatalf("kstatus has %d cases: this test would prove nothing", len(cases))
	}
	for name, c := range cases {
		u := &unstructured.Unstructured{}
		text, err := yaml.YAMLToJSON([]byte(c.object))
		if err == nil {
			err = u.UnmarshalJSON(text)
		}
		if err != nil {
			t.Fatal(name, err)
		}
		if r, err := status.Compute(u); err != nil || r.Status != c.want {
			t.Errorf("%s: kstatus itself says %v, %v, want %s", name, r, err, c.want)
		}
		code := judged(t, u)
		agree := code.OK() == (c.want == status.CurrentStatus) && (c.want != status.FailedStatus || code != "")
		if why := differs[name]; agree == (why != "") {
			t.Errorf("%s: kstatus says %s, and the judge %q; the reason for a difference is %q", name, c.want, code, why)
		}
	}
	for name := range differs {
		if _, ok := cases[name]; !ok {
			t.Errorf("kstatus has no case %s any more", name)
		}
	}
}

// judged returns the verdict on an object after an hour.
func judged(t *testing.T, u *unstructured.Unstructured) deploy.Code {
	t.Helper()
	u.SetUID("it")
	o := deploy.Object{Body: u.Object}
	set := deploy.Set{Namespace: "qual", Objects: []deploy.Object{o}}
	u.SetNamespace("qual")
	works, err := workloads(set, []deploy.Change{{Object: o, Op: deploy.Create}})
	if err != nil {
		t.Fatal(err)
	}
	if len(works) == 0 {
		return deploy.Applied
	}
	c := &cast{work: works[0], more: played(t, u)}
	return c.after(time.Hour, rules()).verdict.Code
}

// played returns an object as the watches bring it, with the pods, and what
// stands between, that its status speaks of.
func played(t *testing.T, u *unstructured.Unstructured) []metav1.Object {
	t.Helper()
	into := func(o metav1.Object) metav1.Object {
		text, err := json.Marshal(u.Object)
		if err == nil {
			err = json.Unmarshal(text, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	var all []metav1.Object
	pods := func(owner metav1.Object, label, of string, n, ready int32) {
		for i := range n {
			meta := metav1.ObjectMeta{Name: owner.GetName(), UID: owner.GetUID()}
			p := pod(fmt.Sprint(owner.GetName(), "-", len(all)), &meta, label, of)
			p.Namespace = "qual"
			if i >= ready {
				p.Status.Conditions[1].Status, p.Status.ContainerStatuses[0].Ready = corev1.ConditionFalse, false
			}
			all = append(all, p)
		}
	}
	revised := func(owner metav1.Object, replicas, updated, ready int32) {
		pods(owner, revisionLabel, "new", min(updated, replicas), ready)
		pods(owner, revisionLabel, "old", max(replicas-updated, 0), max(ready-updated, 0))
	}
	switch u.GetKind() {
	case "Pod":
		return []metav1.Object{into(&corev1.Pod{})}
	case "Deployment":
		d := into(&appsv1.Deployment{}).(*appsv1.Deployment)
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "rs", UID: "rs", Namespace: "qual"}, Spec: appsv1.ReplicaSetSpec{Template: d.Spec.Template}}
		yes := true
		rs.OwnerReferences = []metav1.OwnerReference{{UID: d.UID, Controller: &yes}}
		pods(rs, hashLabel, "", d.Status.Replicas, d.Status.ReadyReplicas)
		return append(all, d, rs)
	case "ReplicaSet":
		rs := into(&appsv1.ReplicaSet{}).(*appsv1.ReplicaSet)
		pods(rs, hashLabel, "", rs.Status.Replicas, rs.Status.ReadyReplicas)
		return append(all, rs)
	case "StatefulSet":
		s := into(&appsv1.StatefulSet{}).(*appsv1.StatefulSet)
		s.Status.UpdateRevision = "new"
		revised(s, s.Status.Replicas, s.Status.CurrentReplicas, s.Status.ReadyReplicas)
		return append(all, s)
	case "DaemonSet":
		d := into(&appsv1.DaemonSet{}).(*appsv1.DaemonSet)
		newest := &appsv1.ControllerRevision{ObjectMeta: meta("new", "new", &d.ObjectMeta), Revision: 1}
		newest.Labels[revisionLabel], newest.Namespace = "new", "qual"
		revised(d, d.Status.CurrentNumberScheduled, d.Status.UpdatedNumberScheduled, d.Status.NumberReady)
		return append(all, d, newest)
	case "Job":
		return []metav1.Object{into(&batchv1.Job{})}
	case "CronJob":
		return []metav1.Object{into(&batchv1.CronJob{})}
	}
	return []metav1.Object{u}
}

type kstatusCase struct {
	object string
	want   status.Status
}

// kstatusCases reads the tables in kstatus' tests, which are part of its module.
func kstatusCases(t *testing.T) map[string]kstatusCase {
	t.Helper()
	file, _ := runtime.FuncForPC(reflect.ValueOf(status.Compute).Pointer()).FileLine(0)
	if !filepath.IsAbs(file) { // built with -trimpath
		cache := os.Getenv("GOMODCACHE")
		if cache == "" {
			cache = filepath.Join(build.Default.GOPATH, "pkg", "mod")
		}
		file = filepath.Join(cache, file)
	}
	source, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.Dir(file), "status_compute_test.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	objects, cases := map[string]string{}, map[string]kstatusCase{}
	ast.Inspect(source, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			if text, ok := literal(n.Values); ok {
				objects[n.Names[0].Name] = text
			}
		case *ast.KeyValueExpr:
			row, ok := n.Value.(*ast.CompositeLit)
			if name, named := literal([]ast.Expr{n.Key}); ok && named {
				cases[name] = kstatusRow(row, objects)
			}
		}
		return true
	})
	return cases
}

func literal(values []ast.Expr) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	lit, ok := values[0].(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

func kstatusRow(row *ast.CompositeLit, objects map[string]string) (c kstatusCase) {
	for _, el := range row.Elts {
		field := el.(*ast.KeyValueExpr)
		switch value := field.Value.(type) {
		case *ast.Ident:
			switch field.Key.(*ast.Ident).Name {
			case "spec":
				c.object = objects[value.Name]
			case "expectedStatus":
				c.want = status.Status(strings.TrimSuffix(value.Name, "Status"))
			}
		case *ast.CallExpr: // fmt.Sprintf(object, now)
			c.object = fmt.Sprintf(objects[value.Args[0].(*ast.Ident).Name], time.Now().Format(time.RFC3339))
		}
	}
	return c
}
