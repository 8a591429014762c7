package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A question is one for the registry: is what a kubelet reports the image that
// was pinned, by another of its digests?
type question struct{ repository, pinned, reported string }

// An answer is what the registry said.
type answer struct {
	same bool
	err  error
}

// A proof is what the ready pods say about the pinned images. Each of the
// first three is nil where there is nothing of the kind to say.
type proof struct {
	strayed *finding // the spec in the cluster no longer carries what was pinned
	wrong   *finding // a pod runs another digest
	blank   *finding // a pod does not say what it runs, or the registry cannot tell
	open    []question
	digests []string
}

// holds reports whether nothing speaks against the pods and nothing is unasked.
func (p proof) holds() bool {
	return p.strayed == nil && p.wrong == nil && p.blank == nil && len(p.open) == 0
}

// prove compares what the counted pods of w report with what was pinned. The
// exact digest needs nobody's word; any other is the registry's to explain.
func prove(w workload, p *picture, s *snapshot) proof {
	var r proof
	for _, pin := range w.pins {
		if !slices.Contains(r.digests, pin.Digest) {
			r.digests = append(r.digests, pin.Digest)
		}
		if image := imageOf(p.spec, pin); r.strayed == nil && !strings.HasSuffix(image, "@"+pin.Digest) {
			r.strayed = &finding{
				container: pin.Container, cause: fmt.Sprintf("the spec in the cluster says %s, not %s", orNothing(image), pin.Ref),
				cure: "look in the object's managedFields for who else writes its image, and deploy again",
			}
		}
	}
	if !p.observed { // which pods are current is not known yet
		return r
	}
	for _, pod := range p.ready() {
		for _, pin := range w.pins {
			r.check(pod, pin, s)
		}
	}
	if r.wrong != nil && w.changed && w.object.Kind() == "Pod" {
		r.wrong.settle = max(r.wrong.settle, inPlace(r.wrong.pod))
	}
	return r
}

// inPlace returns how long a kubelet may take to end a container of a bare pod
// whose image was changed: until then its status is that of the image before.
func inPlace(pod *corev1.Pod) time.Duration {
	grace := 30 * time.Second
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = time.Duration(*g) * time.Second
	}
	return grace + outdatedFor
}

// check adds what pod says about one pinned container to r.
func (p *proof) check(pod *corev1.Pod, pin deploy.Pin, s *snapshot) {
	status := statusOf(pod, pin)
	if status == nil || digestOf(status.ImageID) == "" {
		reported := ""
		if status != nil {
			reported = status.ImageID
		}
		p.blank = orFirst(p.blank, &finding{
			pod: pod, container: pin.Container, settle: blankFor,
			cause: fmt.Sprintf("pod %s is ready but reports imageID %q, so nothing says which digest it runs", pod.Name, reported),
			cure:  "see whether the node's container runtime reports image digests",
		})
		return
	}
	reported := digestOf(status.ImageID)
	if reported == pin.Digest {
		return
	}
	q := question{pin.Repository(), pin.Digest, reported}
	a, known := s.answers[q]
	switch {
	case !known && !s.exact:
		if !slices.Contains(p.open, q) {
			p.open = append(p.open, q)
		}
	case a.err != nil:
		p.blank = orFirst(p.blank, &finding{
			pod: pod, container: pin.Container,
			cause: fmt.Sprintf("pod %s runs %s, and the registry cannot say whether that is %s: %v", pod.Name, reported, pin.Digest, a.err),
			cure:  "see whether the registry answers from here",
		})
	case !a.same:
		f := &finding{
			pod: pod, container: pin.Container,
			cause: fmt.Sprintf("pod %s runs %s, pinned was %s", pod.Name, reported, pin.Digest),
			cure:  "see whether a webhook or a node's mirror changes the image, then delete the pod",
		}
		if outdated(pod, status) {
			f.settle = outdatedFor
		}
		p.wrong = orFirst(p.wrong, f)
	}
}

// outdated reports whether status is visibly not of the container's present start.
func outdated(pod *corev1.Pod, status *corev1.ContainerStatus) bool {
	started := status.State.Running != nil || status.State.Terminated != nil
	behind := pod.Status.ObservedGeneration > 0 && pod.Status.ObservedGeneration < pod.Generation
	return !started || status.ContainerID == "" || behind
}

// digestOf returns the digest in an imageID, which is "repo@sha256:…",
// "docker-pullable://repo@sha256:…", "docker://sha256:…" or "sha256:…"; it is
// empty where there is none.
func digestOf(imageID string) string {
	const algorithm, size = "sha256:", 64
	i := strings.LastIndex(imageID, algorithm)
	if i < 0 || len(imageID) != i+len(algorithm)+size || i > 0 && imageID[i-1] != '@' && imageID[i-1] != '/' {
		return ""
	}
	if strings.Trim(imageID[i+len(algorithm):], "0123456789abcdef") != "" {
		return ""
	}
	return imageID[i:]
}

func statusOf(pod *corev1.Pod, pin deploy.Pin) *corev1.ContainerStatus {
	list := pod.Status.ContainerStatuses
	if pin.Init {
		list = pod.Status.InitContainerStatuses
	}
	for i := range list {
		if list[i].Name == pin.Container {
			return &list[i]
		}
	}
	return nil
}

func imageOf(spec *corev1.PodSpec, pin deploy.Pin) string {
	if spec == nil {
		return ""
	}
	list := spec.Containers
	if pin.Init {
		list = spec.InitContainers
	}
	for i := range list {
		if list[i].Name == pin.Container {
			return list[i].Image
		}
	}
	return ""
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func orFirst(a, b *finding) *finding {
	if a != nil {
		return a
	}
	return b
}
