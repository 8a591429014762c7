package rollout

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A rule is one way in which a workload fails. It looks at the scene and says
// what it found, or nothing.
type rule struct {
	name string
	code deploy.Code
	find func(*scene) *finding
}

// A finding is what a rule saw.
type finding struct {
	settle    time.Duration // how long it must last before it counts; untilTheEnd: only when time is up
	pod       *corev1.Pod   // nil: it is about the workload itself
	container string
	cause     string
	cure      string
	died      *grave // nil: nobody died
}

// How long symptoms must last. When time is up all of them count.
const (
	untilTheEnd   = time.Duration(1<<63 - 1)
	overdueFor    = 5 * time.Second  // a Deployment that goes back to an old revision still says that the last one was overdue
	outdatedFor   = 5 * time.Second  // a status of the container before
	blankFor      = 10 * time.Second // a kubelet that has not said yet what it runs
	configFor     = 10 * time.Second // an operator may be about to write the Secret
	unreadFor     = time.Minute      // a busy node has not read the Secret yet
	volumeFor     = 20 * time.Second // so may it for a volume, and the kubelet tries those more slowly
	networkFor    = 20 * time.Second // the second attempt to pull has failed as well
	refusedFor    = 5 * time.Second  // a ServiceAccount's token, a quota that frees itself
	unscheduled   = 10 * time.Second // a node may be about to have room
	blockedFor    = 10 * time.Second // the controller may yet replace it
	claimFor      = 30 * time.Second // a volume is being made
	startedFor    = 5 * time.Second  // no probe says that what has started stays, and a busy kubelet tells late that it ended
	recoveredFor  = 10 * time.Second // it died before; for each time
	longAgo       = time.Minute      // a start so far back that clocks need not agree
	lifeOfLoop    = 10 * time.Minute // kubelets forget a crash after this long
	deadlineWords = 300              // bytes of an event's message in a cause that is a guess
)

// rules is the table, from the most telling cause to the least: the first that
// finds something gives the verdict. To add a rule, write its function beside
// its kin and give it a row; its test is a pair of rows in rules_test.go.
func rules() []rule {
	return []rule{
		{"overwritten", deploy.Overwritten, overwritten},
		{"wrong digest", deploy.WrongDigest, wrongDigest},
		{"image name", deploy.ImagePull, imageName},
		{"image missing or private", deploy.ImagePull, imageRefused},
		{"image pull", deploy.ImagePull, imagePull},
		{"config", deploy.BadConfig, badConfig},
		{"volume", deploy.BadConfig, badVolume},
		{"start", deploy.BadConfig, cannotStart},
		{"job failed", deploy.JobFailed, jobFailed},
		{"pod failed", deploy.CrashLoop, podFailed},
		{"out of memory", deploy.OutOfMemory, outOfMemory},
		{"crash loop", deploy.CrashLoop, crashLoop},
		{"no pods", deploy.NoPods, noPods},
		{"paused", deploy.NoPods, paused},
		{"unscheduled", deploy.Unscheduled, unschedulable},
		{"unproven", deploy.Unproven, unproven},
		{"blocked", deploy.NeverReady, blocked},
		{"never ready", deploy.NeverReady, neverReady},
		{"deadline", deploy.Deadline, deadline},
	}
}

// overwritten finds that the cluster no longer holds what was applied.
func overwritten(c *scene) *finding {
	if !c.found {
		return &finding{cause: "it is not in the cluster", cure: "see who deletes it, or raise ttlSecondsAfterFinished if it is a Job that has ended"}
	}
	if c.deleted {
		return &finding{cause: "it is being deleted", cure: "see who deletes it"}
	}
	return c.proof.strayed
}

// wrongDigest finds a counted pod that runs something else.
func wrongDigest(c *scene) *finding { return c.proof.wrong }

// unproven finds a counted pod of which nobody can say what it runs.
func unproven(c *scene) *finding { return c.proof.blank }

// first returns what find finds in the first container of the current pods
// where it finds something.
func (c *scene) first(find func(view) *finding) *finding {
	for _, pod := range c.current {
		for _, v := range views(pod) {
			if f := find(v); f != nil {
				f.pod, f.container = pod, v.spec.Name
				return f
			}
		}
	}
	return nil
}
