package rollout

import (
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// judgeCustom says what has become of an object that runs no pods of its own,
// by the conventions of status that kstatus knows. An object that has no
// status is ready as soon as it is there.
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
	r, err := status.Compute(u)
	if err != nil {
		o.verdict.Code, o.verdict.Cause = deploy.Stalled, "its status cannot be read: "+err.Error()
		return o
	}
	o.message = r.Message
	switch {
	case r.Status == status.CurrentStatus:
		o.verdict.Code, o.message = deploy.Applied, "current"
	case r.Status == status.FailedStatus:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Stalled, r.Message, "see the log of the controller that owns this kind"
	case r.Status == status.TerminatingStatus:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Overwritten, "it is being deleted", "see who deletes it"
	case s.timeUp:
		o.verdict.Code, o.verdict.Cause, o.verdict.Cure = deploy.Deadline, r.Message, "see the log of the controller that owns this kind"
	}
	return o
}
