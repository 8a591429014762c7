package schema

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// kind names a kind in a version of its group.
type kind struct{ apiVersion, name string }

// builtIns returns the Go types of the built-in kinds in their stable versions.
// They are registered when they are first asked for: client-go's own scheme
// does so at every start, which takes 5 ms, and links the others as well.
var builtIns = sync.OnceValue(func() map[kind]reflect.Type {
	scheme := runtime.NewScheme()
	add := runtime.NewSchemeBuilder(
		admissionregistrationv1.AddToScheme, appsv1.AddToScheme, autoscalingv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		certificatesv1.AddToScheme, coordinationv1.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme, eventsv1.AddToScheme,
		flowcontrolv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
		resourcev1.AddToScheme, schedulingv1.AddToScheme, storagev1.AddToScheme,
	)
	if err := add.AddToScheme(scheme); err != nil {
		panic(err) // the packages of k8s.io/api contradict each other
	}
	all := map[kind]reflect.Type{}
	for gvk, typ := range scheme.AllKnownTypes() {
		if _, object := typ.FieldByName("ObjectMeta"); object && gvk.Version != runtime.APIVersionInternal {
			all[kind{gvk.GroupVersion().String(), gvk.Kind}] = typ
		}
	}
	return all
})

var objectMeta = reflect.TypeFor[metav1.ObjectMeta]()

// versionsOf returns the versions in which a group has a kind, and whether the
// group is one of Kubernetes' own.
func versionsOf(group, name string) (versions []string, known bool) {
	for k := range builtIns() {
		if groupOf(k.apiVersion) != group {
			continue
		}
		known = true
		if k.name == name {
			versions = append(versions, k.apiVersion)
		}
	}
	slices.SortFunc(versions, func(a, b string) int { return strings.Compare(stability(b), stability(a)) })
	return versions, known
}

// kindsIn returns the kinds of a version of a group.
func kindsIn(apiVersion string) []string {
	var names []string
	for k := range builtIns() {
		if k.apiVersion == apiVersion {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// stability orders versions: v2 after v1 after v1beta2 after v1beta1.
func stability(apiVersion string) string {
	version := apiVersion[strings.LastIndexByte(apiVersion, '/')+1:]
	if strings.Contains(version, "alpha") {
		return "0" + version
	}
	if strings.Contains(version, "beta") {
		return "1" + version
	}
	return "2" + version
}
