package rollout

import (
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/expr"
)

// Terms are what is asked of an object that runs no pods of its own. Where one is
// nil, the conventions of status hold, as kstatus knows them.
type terms struct {
	ready, failed *expr.Condition
	text          deploy.Readiness
}

func (t *terms) compile(r deploy.Readiness) (err error) {
	t.text = r
	if r.Ready != "" {
		if t.ready, err = expr.Compile(r.Ready); err != nil {
			return fmt.Errorf("readiness of %s: ready: %w", r.Kind, err)
		}
	}
	if r.Failed != "" {
		if t.failed, err = expr.Compile(r.Failed); err != nil {
			return fmt.Errorf("readiness of %s: failed: %w", r.Kind, err)
		}
	}
	return nil
}

// Readable returns an error unless text is a condition that Wait can evaluate.
func (*Watcher) Readable(text string) error {
	_, err := expr.Compile(text)
	return err
}

// judgeCustom says what has become of an object that runs no pods of its own.
// An object that has no status is ready as soon as it is there.
func judgeCustom(w workload, s *snapshot) outcome {
	o := outcome{verdict: w.verdict(), message: "not in the cluster"}
	u, ok := s.objects[w.key()].(*unstructured.Unstructured)
	if !ok { // it may live in no namespace
		u, ok = s.objects[key{kind: w.object.Kind(), name: w.object.Name()}].(*unstructured.Unstructured)
	}
	if !ok {
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Overwritten, "it is not in the cluster", "see who deletes it"
		return o
	}
	now, why := w.terms.compute(u)
	o.message = why
	const cure = "see the log of the controller that owns this kind"
	switch {
	case now == status.CurrentStatus:
		o.verdict.Code, o.message = deploy.Applied, "current"
	case now == status.FailedStatus:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Stalled, why, cure
	case now == status.TerminatingStatus:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Overwritten, "it is being deleted", "see who deletes it"
	case s.timeUp:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Deadline, why, cure
	}
	return o
}

// compute returns the status of an object, and why it is that.
func (t *terms) compute(u *unstructured.Unstructured) (now status.Status, why string) {
	r, err := status.Compute(u)
	if err != nil {
		r = &status.Result{Status: status.FailedStatus, Message: "its status cannot be read: " + err.Error()}
	}
	if t.ready == nil && t.failed == nil || r.Status == status.TerminatingStatus {
		return r.Status, r.Message
	}
	if observed, found, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration"); found && observed != u.GetGeneration() {
		return status.InProgressStatus, "its controller has not seen it yet"
	}
	if t.failed != nil {
		if holds, _ := t.failed.Holds(u.Object); holds {
			return status.FailedStatus, t.text.Failed + also(r.Message)
		}
	} else if r.Status == status.FailedStatus {
		return r.Status, r.Message
	}
	if t.ready == nil {
		if r.Status == status.FailedStatus { // as its status says; but failed says no
			return status.InProgressStatus, r.Message
		}
		return r.Status, r.Message
	}
	holds, err := t.ready.Holds(u.Object)
	switch {
	case holds:
		return status.CurrentStatus, ""
	case err != nil: // such as a field that is not there yet
		return status.InProgressStatus, "waits for " + t.text.Ready + " (" + err.Error() + ")"
	}
	return status.InProgressStatus, "waits for " + t.text.Ready + also(r.Message)
}

// also appends what its status says besides.
func also(message string) string {
	if message = strings.TrimSpace(message); message != "" {
		return " (" + message + ")"
	}
	return ""
}
