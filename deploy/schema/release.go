package schema

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// version is one of Kubernetes, such as 1.33; the zero version is unknown.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) before(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

// Newest is the version of Kubernetes whose kinds are known: that of k8s.io/api.
const Newest = "1.37"

var versionPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v?(\d{1,3})\.(\d{1,3})\+?(\..*|-.*)?$`) })

// CheckVersion reports whether text is a version of Kubernetes.
func CheckVersion(text string) error {
	_, err := parseVersion(text)
	return err
}

// parseVersion reads "1.33", "v1.33.2" and what clouds make of them, such as
// "v1.33.2-eks-1" and "1.33+".
func parseVersion(text string) (version, error) {
	m := versionPattern().FindStringSubmatch(text)
	if m == nil {
		return version{}, fmt.Errorf("%q is %w", text, errNoVersion)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return version{major, minor}, nil
}

// kubernetes returns the version that objects are meant for.
func (c *checker) kubernetes() version {
	if c.release != (version{}) {
		return c.release
	}
	c.release, _ = parseVersion(Newest)
	text := c.validator.Version
	if text == "" && c.validator.Ask != nil {
		text, _ = c.validator.Ask(c.ctx) // a cluster that does not answer is somebody else's error
	}
	if asked, err := parseVersion(text); err == nil {
		c.release = asked
	}
	return c.release
}

// introduced is a method that generated types of k8s.io/api have.
type introduced interface{ APILifecycleIntroduced() (major, minor int) }

// lifecycle reports whether Kubernetes has a kind already in the version that
// objects are meant for, where the user names one.
func (c *checker) lifecycle(of kind, typ reflect.Type) bool {
	i, ok := reflect.New(typ).Interface().(introduced)
	if !ok || c.validator.Version == "" {
		return true
	}
	major, minor := i.APILifecycleIntroduced()
	since := version{major, minor}
	if !c.kubernetes().before(since) {
		return true
	}
	cure := ""
	for _, f := range formers() {
		if slices.Contains(strings.Fields(f.kinds), of.name) && f.became == of.apiVersion && c.kubernetes().before(f.in) {
			cure = fmt.Sprintf(" (write apiVersion: %s)", f.apiVersion)
		}
	}
	c.fail(nil, RemovedAPI, "Kubernetes has %s %s from %s on, and this is for %s%s", of.apiVersion, of.name, since, c.kubernetes(), cure)
	return false
}

// A former is a version of kinds that Kubernetes had.
type former struct {
	apiVersion string
	kinds      string  // separated by blanks
	in         version // which no longer has it
	became     string  // what to write instead
}

// formers are from https://kubernetes.io/docs/reference/using-api/deprecation-guide/.
func formers() []former {
	const roles = "Role RoleBinding ClusterRole ClusterRoleBinding"
	const flows = "FlowSchema PriorityLevelConfiguration"
	const security = "Pod Security Admission: labels of the namespace"
	return []former{
		{"extensions/v1beta1", "Deployment DaemonSet ReplicaSet", version{1, 16}, "apps/v1"},
		{"apps/v1beta1", "Deployment StatefulSet", version{1, 16}, "apps/v1"},
		{"apps/v1beta2", "Deployment StatefulSet DaemonSet ReplicaSet", version{1, 16}, "apps/v1"},
		{"extensions/v1beta1", "NetworkPolicy", version{1, 16}, "networking.k8s.io/v1"},
		{"extensions/v1beta1", "PodSecurityPolicy", version{1, 16}, security},
		{"batch/v2alpha1", "CronJob", version{1, 21}, "batch/v1"},
		{"extensions/v1beta1", "Ingress", version{1, 22}, "networking.k8s.io/v1"},
		{"networking.k8s.io/v1beta1", "Ingress IngressClass", version{1, 22}, "networking.k8s.io/v1"},
		{"rbac.authorization.k8s.io/v1alpha1", roles, version{1, 22}, "rbac.authorization.k8s.io/v1"},
		{"rbac.authorization.k8s.io/v1beta1", roles, version{1, 22}, "rbac.authorization.k8s.io/v1"},
		{"scheduling.k8s.io/v1beta1", "PriorityClass", version{1, 22}, "scheduling.k8s.io/v1"},
		{"storage.k8s.io/v1beta1", "CSIDriver CSINode StorageClass VolumeAttachment", version{1, 22}, "storage.k8s.io/v1"},
		{"admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration", version{1, 22}, "admissionregistration.k8s.io/v1"},
		{"apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", version{1, 22}, "apiextensions.k8s.io/v1"},
		{"apiregistration.k8s.io/v1beta1", "APIService", version{1, 22}, "apiregistration.k8s.io/v1"},
		{"certificates.k8s.io/v1beta1", "CertificateSigningRequest", version{1, 22}, "certificates.k8s.io/v1"},
		{"coordination.k8s.io/v1beta1", "Lease", version{1, 22}, "coordination.k8s.io/v1"},
		{"batch/v1beta1", "CronJob", version{1, 25}, "batch/v1"},
		{"discovery.k8s.io/v1beta1", "EndpointSlice", version{1, 25}, "discovery.k8s.io/v1"},
		{"events.k8s.io/v1beta1", "Event", version{1, 25}, "events.k8s.io/v1"},
		{"autoscaling/v2beta1", "HorizontalPodAutoscaler", version{1, 25}, "autoscaling/v2"},
		{"policy/v1beta1", "PodDisruptionBudget", version{1, 25}, "policy/v1"},
		{"policy/v1beta1", "PodSecurityPolicy", version{1, 25}, security},
		{"node.k8s.io/v1beta1", "RuntimeClass", version{1, 25}, "node.k8s.io/v1"},
		{"autoscaling/v2beta2", "HorizontalPodAutoscaler", version{1, 26}, "autoscaling/v2"},
		{"flowcontrol.apiserver.k8s.io/v1beta1", flows, version{1, 26}, "flowcontrol.apiserver.k8s.io/v1"},
		{"storage.k8s.io/v1beta1", "CSIStorageCapacity", version{1, 27}, "storage.k8s.io/v1"},
		{"flowcontrol.apiserver.k8s.io/v1beta2", flows, version{1, 29}, "flowcontrol.apiserver.k8s.io/v1"},
		{"flowcontrol.apiserver.k8s.io/v1beta3", flows, version{1, 32}, "flowcontrol.apiserver.k8s.io/v1"},
	}
}

// formerly returns what Kubernetes had, if that is what of is.
func formerly(of kind) (former, bool) {
	for _, f := range formers() {
		if f.apiVersion == of.apiVersion && slices.Contains(strings.Fields(f.kinds), of.name) {
			return f, true
		}
	}
	return former{}, false
}

// unknown says what is wrong with a kind that nothing here defines, if
// anything can be: most are defined by the cluster.
func (c *checker) unknown(of kind) {
	if f, ok := formerly(of); ok {
		if !c.kubernetes().before(f.in) {
			cure := "write apiVersion: " + f.became
			if strings.Contains(f.became, " ") {
				cure = "use " + f.became
			}
			c.fail(nil, RemovedAPI, "Kubernetes has no %s %s since %s (%s)", of.apiVersion, of.name, f.in, cure)
		}
		return
	}
	versions, own := versionsOf(groupOf(of.apiVersion), of.name)
	switch {
	case isDefinition(c.object):
	case strings.Contains(of.apiVersion, "alpha"), strings.Contains(of.apiVersion, "beta"): // what is not stable is not known here
	case len(versions) > 0:
		c.fail(nil, UnknownKind, "there is no %s in %s (write apiVersion: %s)", of.name, of.apiVersion, versions[0])
	case own && len(kindsIn(of.apiVersion)) > 0 && !c.definesGroup(groupOf(of.apiVersion)):
		c.fail(nil, UnknownKind, "there is no %s in %s%s", of.name, of.apiVersion, c.elsewhere(of))
	case !strings.Contains(of.apiVersion, "."):
		c.fail(nil, UnknownKind, "there is no %s in %s%s", of.name, of.apiVersion, c.elsewhere(of))
	}
}

// elsewhere suggests what a kind should be: the same in another group, or one
// that is written much like it.
func (c *checker) elsewhere(of kind) string {
	var best kind
	for k := range builtIns() {
		if k.name == of.name && (best.name == "" || stability(k.apiVersion) > stability(best.apiVersion)) {
			best = k
		}
	}
	if best.name != "" {
		return fmt.Sprintf(" (write apiVersion: %s)", best.apiVersion)
	}
	return nearest(of.name, kindsIn(of.apiVersion))
}

func (c *checker) definesGroup(group string) bool {
	for k := range c.definitions {
		if groupOf(k.apiVersion) == group {
			return true
		}
	}
	return false
}
