package rollout

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A key names one object of the snapshot.
type key struct{ kind, namespace, name string }

// A snapshot is what the watches hold at one moment. The judge reads it and
// changes nothing in it.
type snapshot struct {
	objects   map[key]any // *appsv1.Deployment, *batchv1.Job, *unstructured.Unstructured, …
	pods      map[types.UID][]*corev1.Pod
	sets      map[types.UID][]*appsv1.ReplicaSet
	revisions map[types.UID][]*appsv1.ControllerRevision
	events    map[types.UID][]*corev1.Event

	answers map[question]answer  // what the registry said
	exact   bool                 // there is no registry to ask
	since   map[string]time.Time // when each symptom of this workload was first seen
	timeUp  bool                 // nothing is waited for any longer
}

// newSnapshot indexes objs, which may hold any kind that the watches bring.
func newSnapshot(objs []metav1.Object) *snapshot {
	s := &snapshot{
		objects: map[key]any{}, pods: map[types.UID][]*corev1.Pod{}, sets: map[types.UID][]*appsv1.ReplicaSet{},
		revisions: map[types.UID][]*appsv1.ControllerRevision{}, events: map[types.UID][]*corev1.Event{},
	}
	for _, o := range objs {
		owner := ownerOf(o)
		switch o := o.(type) {
		case *corev1.Pod:
			s.pods[owner] = append(s.pods[owner], o)
		case *appsv1.ReplicaSet:
			s.sets[owner] = append(s.sets[owner], o)
		case *appsv1.ControllerRevision:
			s.revisions[owner] = append(s.revisions[owner], o)
		case *corev1.Event:
			s.events[o.InvolvedObject.UID] = append(s.events[o.InvolvedObject.UID], o)
			continue
		}
		s.objects[key{kindOf(o), o.GetNamespace(), o.GetName()}] = o
	}
	for _, pods := range s.pods {
		slices.SortFunc(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	}
	for _, events := range s.events {
		slices.SortFunc(events, func(a, b *corev1.Event) int { return seen(a).Compare(seen(b)) })
	}
	return s
}

// ownerOf returns the UID of the controller that owns o, which is empty where
// nothing does.
func ownerOf(o metav1.Object) types.UID {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return ref.UID
	}
	return ""
}

// seen returns when e happened last.
func seen(e *corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	if e.EventTime.After(last) {
		last = e.EventTime.Time
	}
	return last
}

// latest returns the newest event about any of uids that match accepts, or nil.
func (s *snapshot) latest(uids []types.UID, match func(*corev1.Event) bool) *corev1.Event {
	var found *corev1.Event
	for _, uid := range uids {
		for _, e := range s.events[uid] {
			if match(e) && (found == nil || !seen(e).Before(seen(found))) {
				found = e
			}
		}
	}
	return found
}
