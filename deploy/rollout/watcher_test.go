package rollout

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

func TestWaitProvesWhatBecomesReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.unready()
		f := newFakeCluster(t, c)
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c)
		c.first().Ready = true
		c.pods[0].Status.Conditions[1].Status = corev1.ConditionTrue
		f.update(c.pods[0])
		r.end()
		if r.err != nil || r.codes() != "proven" || r.took > time.Second {
			t.Errorf("got %q, %v after %s, want proven at once", r.codes(), r.err, r.took)
		}
		want := []string{"Deployment shop/web: 1/2 ready, 1 pod starting", "Deployment shop/web: 2/2 ready, proven"}
		if !slices.Equal(r.lines, want) {
			t.Errorf("got lines %q, want %q", r.lines, want)
		}
		for _, call := range []string{"list deployments", "list replicasets", "list pods", "list events", "watch pods"} {
			if f.calls[call] != 1 {
				t.Errorf("%d times %s, want 1", f.calls[call], call)
			}
		}
	})
}

func TestWaitSaysWhyItDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := restarted()
		c.put(waits("CrashLoopBackOff", ""))
		f := newFakeCluster(t, c)
		f.logs["web-4-a/web"] = strings.Repeat("before\n", 30) + "panic: no database\n"
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c).end()
		var failed *deploy.RolloutError
		if !errors.As(r.err, &failed) || r.took > time.Second {
			t.Fatalf("got %v after %s, want a RolloutError at once", r.err, r.took)
		}
		v := failed.Verdicts[0]
		if v.Code != deploy.CrashLoop || v.Pod != "web-4-a" || v.Container != "web" || v.Line != 7 {
			t.Errorf("got %+v", v)
		}
		if len(v.Log) != logLines || v.Log[logLines-1] != "panic: no database" {
			t.Errorf("got log %q", v.Log)
		}
	})
}

func TestWaitDoesNotHangOnALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := restarted()
		c.put(waits("CrashLoopBackOff", ""))
		f := newFakeCluster(t, c)
		f.slow = time.Hour
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c).end()
		if r.codes() != "crash-loop" || r.took != logTimeout {
			t.Errorf("got %q after %s, want crash-loop after %s", r.codes(), r.took, logTimeout)
		}
	})
}

func TestWaitJudgesAgainWithoutAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.put(waits("ErrImagePull", noNetwork))
		r := begin(t.Context(), &Watcher{Cluster: newFakeCluster(t, c)}, time.Minute, c).end()
		if r.codes() != "image-pull" || r.took != networkFor {
			t.Errorf("got %q after %s, want image-pull after %s", r.codes(), r.took, networkFor)
		}
	})
}

func TestWaitEndsWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.unready()
		c.event("uid-web-4-a", "Unhealthy", "Readiness probe failed: 503")
		r := begin(t.Context(), &Watcher{Cluster: newFakeCluster(t, c)}, time.Minute, c).end()
		if r.codes() != "never-ready" || r.took != time.Minute {
			t.Errorf("got %q after %s, want never-ready after a minute", r.codes(), r.took)
		}
	})
}

func TestWaitGivesTheOthersALastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, broken, second := deployment(), statefulSet(), daemonSet()
		slow.unready()
		rename(broken, "db")
		broken.put(waits("ErrImagePull", notFound))
		rename(second, "agent")
		second.put(waits("CreateContainerConfigError", "secret not found"))
		w := &Watcher{Cluster: newFakeCluster(t, slow, broken, second), Linger: configFor}
		r := begin(t.Context(), w, time.Hour, slow, broken, second).end()
		if r.codes() != "waiting image-pull bad-config" || r.took != configFor {
			t.Errorf("got %q after %s, want the first still waited for and two causes after %s", r.codes(), r.took, configFor)
		}
		var failed *deploy.RolloutError
		if !errors.As(r.err, &failed) || len(failed.Verdicts) != 2 || failed.Verdicts[0].Code != deploy.ImagePull {
			t.Errorf("got %v, want two failures, the first cause first", r.err)
		}
	})
}

func TestWaitReportsWhatItLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.work.changed, c.work.pins = false, nil
		c.put(waits("CrashLoopBackOff", ""))
		c.first().LastTerminationState = dead(1, "Error")
		r := begin(t.Context(), &Watcher{Cluster: newFakeCluster(t, c)}, time.Hour, c).end()
		if r.err != nil || r.codes() != "crash-loop" || !r.verdicts[0].LeftAlone {
			t.Errorf("got %+v, %v, want a crash loop that is only reported", r.verdicts, r.err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.work.changed = false
		c.put(waits("CrashLoopBackOff", ""))
		c.first().LastTerminationState = dead(1, "Error")
		r := begin(t.Context(), &Watcher{Cluster: newFakeCluster(t, c)}, time.Hour, c).end()
		if r.err == nil {
			t.Errorf("an unchanged Deployment whose pinned digest does not run was called green: %+v", r.verdicts)
		}
	})
}

func TestWaitWithoutPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := deploy.Set{Namespace: "shop", Objects: []deploy.Object{{File: "a.yaml", Line: 3, Body: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"},
		}}}}
		got, err := (&Watcher{}).Wait(t.Context(), set, nil, 0, nil)
		if err != nil || len(got) != 1 || got[0].Code != deploy.Applied || got[0].Line != 3 {
			t.Errorf("got %+v, %v, want applied", got, err)
		}
	})
}

// registry answers after having failed some times.
type registry struct {
	same  bool
	fails int
	asked []question
}

func (r *registry) Equivalent(_ context.Context, repository, pinned, reported string) (bool, error) {
	r.asked = append(r.asked, question{repository, pinned, reported})
	if len(r.asked) <= r.fails {
		return false, errRegistry
	}
	return r.same, nil
}

func TestWaitAsksTheRegistry(t *testing.T) {
	tests := []struct {
		name  string
		reg   registry
		code  string
		asked int
	}{
		{"the same", registry{same: true}, "proven", 1},
		{"another", registry{}, "wrong-digest", 1},
		{"the same, at the third attempt", registry{same: true, fails: 2}, "proven", 3},
		{"no answer", registry{fails: 9}, "unproven", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := deployment()
				for _, p := range c.pods {
					p.Status.ContainerStatuses[0].ImageID = "reg/web@" + other
				}
				r := begin(t.Context(), &Watcher{Cluster: newFakeCluster(t, c), Resolver: &tt.reg}, time.Minute, c).end()
				if r.codes() != tt.code || len(tt.reg.asked) != tt.asked {
					t.Errorf("got %q, %v after %d questions, want %q after %d", r.codes(), r.err, len(tt.reg.asked), tt.code, tt.asked)
				}
				if want := (question{"localhost:5000/shop/web", pinned, other}); tt.reg.asked[0] != want {
					t.Errorf("asked %+v, want %+v", tt.reg.asked[0], want)
				}
			})
		})
	}
}

func TestWaitForAKindOfADefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cast{work: work("Certificate")}
		c.work.object.Body["apiVersion"] = "cert-manager.io/v1"
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
			"metadata": map[string]any{"name": "web", "namespace": "shop"}, "status": conditions("Ready", "False"),
		}}
		c.more = append(c.more, u)
		f := newFakeCluster(t, c)
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c)
		u.Object["status"] = conditions("Ready", "True")
		f.update(u)
		r.end()
		if r.err != nil || r.codes() != "applied" || r.took > time.Second {
			t.Errorf("got %q, %v after %s, want applied at once", r.codes(), r.err, r.took)
		}
	})
}
