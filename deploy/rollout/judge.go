package rollout

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// An outcome is what the judge says about one workload.
type outcome struct {
	verdict  deploy.Verdict // its Code is empty while nothing is certain
	message  string         // how far it is, for people
	next     time.Time      // when to ask again if nothing changes; zero means never
	symptoms []string       // what must be remembered to tell how long it lasts
	open     []question     // what the registry must be asked before more can be said
	died     *grave         // whose last words belong to the verdict
	rank     int            // of the rule that found it, in the table
}

// A grave is a container that died, and where its log lies.
type grave struct {
	namespace, pod, container string
	previous                  bool // the log is of the run before the present one
}

// judge says what has become of w. It is pure: the same arguments give the same
// outcome. Green is looked for first, so a symptom that lies in the past harms
// nobody; then table is tried from its top.
func judge(now time.Time, w workload, s *snapshot, table []rule) outcome {
	if w.custom {
		return judgeCustom(w, s)
	}
	p := look(w, s)
	c := &scene{workload: w, picture: p, proof: prove(w, &p, s), snapshot: s}
	o := outcome{verdict: w.verdict(), open: c.proof.open, message: c.progress()}
	o.verdict.Want, o.verdict.Ready = p.want, len(p.ready())
	t := &timekeeper{now: now, since: s.since, out: &o}
	if c.green(t) {
		o.verdict.Digests = c.proof.digests
		o.verdict.Code, o.verdict.Cause = c.greenCode(), p.note
		if p.idle != "" {
			o.verdict.Cause, o.verdict.Digests = p.idle, nil
		}
		return o
	}
	over := s.timeUp || p.overdue != "" && !c.nodeComes() && t.lasted("progress deadline", overdueFor)
	var early string
	for rank, r := range table {
		f := r.find(c)
		if f == nil {
			continue
		}
		settled := f.settle != untilTheEnd && t.lasted(f.key(r), f.settle)
		if !settled && !over {
			if early == "" && f.settle != untilTheEnd {
				early = f.cause
			}
			continue
		}
		o.rank = rank
		o = o.turnRed(r, f)
		o.verdict.File, o.verdict.Line = w.object.Where(o.verdict.Field(w.object))
		return o
	}
	if early != "" {
		o.message += ": " + early
	}
	return o
}

// turnRed makes the verdict that r gives for f.
func (o outcome) turnRed(r rule, f *finding) outcome {
	o.verdict.Code = r.code
	o.verdict.Container, o.verdict.Cause, o.verdict.Cure, o.died = f.container, f.cause, f.cure, f.died
	if f.pod != nil {
		o.verdict.Pod = f.pod.Name
	}
	o.next, o.open = time.Time{}, nil
	return o
}

// A scene is all that a rule may look at.
type scene struct {
	workload
	picture
	proof    proof
	snapshot *snapshot
}

// green reports whether c ends well: enough pods of the current revision, none
// of an earlier one that is still ready, and the proof that they run what was
// pinned.
func (c *scene) green(t *timekeeper) bool {
	if !c.found || c.deleted || !c.observed || !c.proof.holds() {
		return false
	}
	if c.idle != "" {
		return c.failure == ""
	}
	if c.retries {
		return c.complete
	}
	for _, pod := range c.old {
		if isReady(pod) {
			return false
		}
	}
	return len(c.ready()) == c.want && c.steady(t)
}

// steady reports whether the ready pods have been so for long enough to be
// believed. A container without a readiness probe is ready the moment it
// starts, and one that has died before is on probation, the longer the more often it has:
// without this a program that exits after half a second would be called proven.
func (c *scene) steady(t *timekeeper) bool {
	steady := true
	for _, pod := range c.ready() {
		for _, v := range views(pod) {
			running := v.status.State.Running
			if v.init || running == nil || !running.StartedAt.IsZero() && t.now.Sub(running.StartedAt.Time) > longAgo {
				continue
			}
			settle := time.Duration(0)
			switch {
			case v.status.RestartCount > 0:
				settle = min(longAgo, recoveredFor*time.Duration(v.status.RestartCount)) // a busy kubelet tells of one life after the other
			case v.spec.ReadinessProbe == nil:
				settle = startedFor
			}
			if settle > 0 && !t.lasted(fmt.Sprint("steady ", pod.UID, pod.Name, v.spec.Name, v.status.RestartCount), settle) {
				steady = false
			}
		}
	}
	return steady
}

func (c *scene) greenCode() deploy.Code {
	switch {
	case c.idle != "":
		return deploy.NothingRuns
	case len(c.pins) > 0:
		return deploy.Proven
	}
	return deploy.Ready
}

// progress says in a few words how far c is.
func (c *scene) progress() string {
	switch {
	case !c.found:
		return "not in the cluster"
	case !c.observed:
		return "not seen by its controller yet"
	case c.idle != "":
		return c.idle
	}
	ready := len(c.ready())
	what := "ready"
	if c.finishes {
		what = "succeeded"
	}
	parts := []string{fmt.Sprintf("%d/%d %s", ready, c.want, what)}
	for _, part := range []struct {
		n    int
		what string
	}{{len(c.current) - ready, c.starting()}, {len(c.old), "of the revision before"}, {len(c.leaving), "stopping"}} {
		switch {
		case part.n == 1:
			parts = append(parts, "1 pod "+part.what)
		case part.n > 1:
			parts = append(parts, fmt.Sprintf("%d pods %s", part.n, part.what))
		}
	}
	if len(c.proof.open) > 0 {
		parts = append(parts, "asking the registry")
	}
	return strings.Join(parts, ", ")
}

func (c *scene) starting() string {
	if c.finishes {
		return "running"
	}
	return "starting"
}

// grave returns where the last words of v lie.
func (v view) grave() *grave {
	return &grave{v.pod.Namespace, v.pod.Name, v.spec.Name, v.status.State.Terminated == nil}
}

// A timekeeper tells how long symptoms have lasted, and notes in out which
// ones to remember and when to ask again.
type timekeeper struct {
	now   time.Time
	since map[string]time.Time
	out   *outcome
}

// lasted reports whether symptom has been seen for at least d.
func (t *timekeeper) lasted(symptom string, d time.Duration) bool {
	t.out.symptoms = append(t.out.symptoms, symptom)
	first, known := t.since[symptom]
	if !known {
		first = t.now
	}
	ripe := first.Add(d)
	if !t.now.Before(ripe) {
		return true
	}
	if t.out.next.IsZero() || ripe.Before(t.out.next) {
		t.out.next = ripe
	}
	return false
}

// key names f as found by r, so that it is recognised the next time. What the
// cluster says about it may change in the meantime.
func (f *finding) key(r rule) string {
	return fmt.Sprint(r.name, "/", podUID(f.pod), "/", f.container)
}

func podUID(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	var o metav1.Object = pod
	return string(o.GetUID()) + o.GetName()
}
