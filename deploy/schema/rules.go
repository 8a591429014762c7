package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-ci/slipway/deploy"
)

// rules checks what the types of fields don't say, for built-in kinds.
func (c *checker) rules(of kind) {
	switch of {
	case kind{"apps/v1", "Deployment"}, kind{"apps/v1", "StatefulSet"}, kind{"apps/v1", "DaemonSet"}, kind{"apps/v1", "ReplicaSet"}:
		c.selector()
		c.restarts("Always")
		c.replicas()
		c.strategy()
	case kind{"batch/v1", "Job"}, kind{"batch/v1", "CronJob"}:
		c.restarts("OnFailure", "Never")
		if of.name == "CronJob" {
			c.schedule()
		}
	case kind{"v1", "Service"}:
		c.service()
	case kind{"v1", "ConfigMap"}, kind{"v1", "Secret"}:
		c.data()
	case kind{"v1", "PersistentVolumeClaim"}:
		c.claim(deploy.Path{"spec"})
	case kind{"autoscaling/v2", "HorizontalPodAutoscaler"}, kind{"autoscaling/v1", "HorizontalPodAutoscaler"}:
		c.scaler()
	case kind{"networking.k8s.io/v1", "Ingress"}:
		c.ingress()
	case kind{"rbac.authorization.k8s.io/v1", "RoleBinding"}, kind{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"}:
		c.binding()
	}
	if deploy.HasPodTemplate(c.object) {
		c.pod()
	}
}

// at returns what stands at path.
func (c *checker) at(path ...string) any { return c.object.Field(path...) }

func (c *checker) text(path deploy.Path) string {
	s, _ := c.at(path...).(string)
	return s
}

// items returns the mappings of a list, by their paths.
func (c *checker) items(path deploy.Path) []deploy.Path {
	list, _ := c.at(path...).([]any)
	paths := make([]deploy.Path, len(list))
	for n := range list {
		paths[n] = path.To(strconv.Itoa(n))
	}
	return paths
}

// oneOf checks that the text at path, if there is any, is one of words.
func (c *checker) oneOf(path deploy.Path, words ...string) {
	got := c.text(path)
	if got == "" || slices.Contains(words, got) {
		return
	}
	cure := nearest(got, words)
	if cure == "" {
		cure = " (want " + strings.Join(words, ", ") + ")"
	}
	c.fail(path, BadField, "%q is not allowed%s", got, cure)
}

// selector checks that a workload selects the pods that it makes.
func (c *checker) selector() {
	want, _ := c.at("spec", "selector", "matchLabels").(map[string]any)
	expressions, _ := c.at("spec", "selector", "matchExpressions").([]any)
	have, _ := c.at("spec", "template", "metadata", "labels").(map[string]any)
	if len(want)+len(expressions) == 0 {
		c.fail(deploy.Path{"spec", "selector"}, BadField, "is missing (want matchLabels with labels of spec.template.metadata.labels)")
		return
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		path := deploy.Path{"spec", "selector", "matchLabels", key}
		switch got, ok := have[key]; {
		case !ok:
			c.fail(path, BadField, "no pod is selected: the template has no label %s (add it to spec.template.metadata.labels)", key)
		case got != want[key]:
			c.fail(path, BadField, "%v selects no pod: the template's label is %v (write the same in both)", want[key], got)
		}
	}
}

func (c *checker) replicas() {
	path := deploy.Path{"spec", "replicas"}
	if v := c.at(path...); v != nil && integer(v) < 0 {
		c.fail(path, BadField, "%v is less than 0", v)
	}
}

func (c *checker) strategy() {
	path, words := deploy.Path{"spec", "strategy"}, []string{"RollingUpdate", "Recreate"}
	switch c.object.Kind() {
	case "StatefulSet", "DaemonSet":
		path, words = deploy.Path{"spec", "updateStrategy"}, []string{"RollingUpdate", "OnDelete"}
	case "ReplicaSet":
		return
	}
	c.oneOf(path.To("type"), words...)
	if typ := c.text(path.To("type")); slices.Contains([]string{"Recreate", "OnDelete"}, typ) && c.at(path.To("rollingUpdate")...) != nil {
		c.fail(path.To("rollingUpdate"), BadField, "does not go with type: %s (take it away; an overlay writes rollingUpdate: null)", typ)
	}
	surge, unavailable := c.at(path.To("rollingUpdate", "maxSurge")...), c.at(path.To("rollingUpdate", "maxUnavailable")...)
	if nothing(surge) && nothing(unavailable) && c.object.Kind() == "Deployment" {
		c.fail(path.To("rollingUpdate", "maxUnavailable"), BadField, "no pod could ever be replaced: maxSurge is 0, too (give one of them 1)")
	}
}

// nothing reports whether v is written and means 0.
func nothing(v any) bool {
	return v != nil && (whole(v) && integer(v) == 0 || v == "0%" || v == "0")
}

func (c *checker) restarts(allowed ...string) {
	path := deploy.PodSpec(c.object)
	got := c.text(deploy.Path(path).To("restartPolicy"))
	switch {
	case got == "" && allowed[0] != "Always":
		c.fail(deploy.Path(path).To("restartPolicy"), BadField, "is missing (want %s)", strings.Join(allowed, " or "))
	case got != "" && !slices.Contains(allowed, got):
		c.fail(deploy.Path(path).To("restartPolicy"), BadField, "%q is not allowed in a %s (want %s)", got, c.object.Kind(), strings.Join(allowed, " or "))
	}
}

var cronField = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z*/,?-]+$`) })

func (c *checker) schedule() {
	path := deploy.Path{"spec", "schedule"}
	text := c.text(path)
	fields := strings.Fields(text)
	ok := len(fields) == 5
	for _, f := range fields {
		ok = ok && cronField().MatchString(f)
	}
	if strings.HasPrefix(text, "@") {
		ok = slices.Contains([]string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}, text) || strings.HasPrefix(text, "@every ")
	}
	if !ok {
		c.fail(path, BadField, "%q is no schedule (want five fields: minute, hour, day, month, weekday, such as \"0 3 * * *\")", text)
	}
}

func (c *checker) service() {
	spec := deploy.Path{"spec"}
	c.oneOf(spec.To("type"), "ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
	c.oneOf(spec.To("sessionAffinity"), "None", "ClientIP")
	ports := c.items(spec.To("ports"))
	if c.text(spec.To("type")) == "ExternalName" {
		if c.text(spec.To("externalName")) == "" {
			c.fail(spec.To("externalName"), BadField, "is missing (type: ExternalName needs it)")
		}
		return
	}
	if len(ports) == 0 && c.text(spec.To("clusterIP")) != "None" {
		c.fail(spec.To("ports"), BadField, "is empty (want at least one port; only a service with clusterIP: None can do without)")
	}
	names, numbers := once{}, once{}
	for _, p := range ports {
		c.port(p.To("port"), true)
		c.oneOf(p.To("protocol"), "TCP", "UDP", "SCTP")
		name := c.text(p.To("name"))
		if name == "" && len(ports) > 1 {
			c.fail(p.To("name"), BadField, "is missing (of several ports each needs a name)")
		}
		if name != "" && len(validation.IsDNS1123Label(name)) > 0 {
			c.fail(p.To("name"), BadField, "%q cannot be the name of a port (want lower-case letters, digits and -)", name)
		}
		names.see(c, p.To("name"), name, "the name of two ports")
		numbers.see(c, p.To("port"), fmt.Sprint(c.at(p.To("port")...), "/", protocol(c.text(p.To("protocol")))), "written twice")
	}
}

func protocol(name string) string {
	if name == "" {
		return "TCP"
	}
	return name
}

func (c *checker) port(path deploy.Path, must bool) {
	v := c.at(path...)
	switch n := integer(v); {
	case v == nil && must:
		c.fail(path, BadField, "is missing (want a port from 1 to 65535)")
	case v != nil && whole(v) && (n < 1 || n > 65535):
		c.fail(path, BadField, "%d is no port (want 1 to 65535)", n)
	}
}

// once remembers what has been seen.
type once map[string]deploy.Path

// see reports a word that was seen before.
func (o once) see(c *checker, path deploy.Path, word, what string) {
	if word == "" {
		return
	}
	if first, twice := o[word]; twice {
		where := ""
		if _, line := c.object.Where(first); line > 0 {
			where = fmt.Sprintf(", first on line %d", line)
		}
		c.fail(path, BadField, "%s is %s%s", word, what, where)
		return
	}
	o[word] = path
}

// data checks the keys of a ConfigMap or Secret, and never shows a value.
func (c *checker) data() {
	size := 0
	for _, field := range []string{"data", "binaryData", "stringData"} {
		values, _ := c.at(field).(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if len(validation.IsConfigMapKey(key)) > 0 {
				c.fail(deploy.Path{field, key}, BadField, "%q cannot be a key (want letters, digits, -, _ and .)", key)
			}
			text, _ := values[key].(string)
			size += len(text)
		}
	}
	if size > 1<<20 && c.object.Kind() == "ConfigMap" || size > 4*(1<<20)/3 {
		c.fail(deploy.Path{"data"}, BadField, "is larger than 1 MiB (keep large data in an image or a volume)")
	}
}

func (c *checker) claim(spec deploy.Path) {
	if modes, _ := c.at(spec.To("accessModes")...).([]any); len(modes) == 0 {
		c.fail(spec.To("accessModes"), BadField, "is missing (want one such as ReadWriteOnce)")
	}
	for _, mode := range c.items(spec.To("accessModes")) {
		c.oneOf(mode, "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
	}
	if c.at(spec.To("resources", "requests", "storage")...) == nil {
		c.fail(spec.To("resources", "requests", "storage"), BadField, "is missing (want an amount such as 1Gi)")
	}
}

func (c *checker) scaler() {
	least, most := c.at("spec", "minReplicas"), c.at("spec", "maxReplicas")
	switch {
	case most == nil || integer(most) < 1:
		c.fail(deploy.Path{"spec", "maxReplicas"}, BadField, "is missing, or less than 1")
	case least != nil && integer(least) > integer(most):
		c.fail(deploy.Path{"spec", "minReplicas"}, BadField, "%d is more than maxReplicas, %d", integer(least), integer(most))
	}
	for _, field := range []string{"kind", "name"} {
		if c.text(deploy.Path{"spec", "scaleTargetRef", field}) == "" {
			c.fail(deploy.Path{"spec", "scaleTargetRef", field}, BadField, "is missing")
		}
	}
}

func (c *checker) ingress() {
	if len(c.items(deploy.Path{"spec", "rules"})) == 0 && c.at("spec", "defaultBackend") == nil {
		c.fail(deploy.Path{"spec"}, BadField, "has neither rules nor defaultBackend")
	}
	for _, rule := range c.items(deploy.Path{"spec", "rules"}) {
		for _, p := range c.items(rule.To("http", "paths")) {
			if c.text(p.To("pathType")) == "" {
				c.fail(p.To("pathType"), BadField, "is missing (want Prefix, Exact or ImplementationSpecific)")
			}
			c.oneOf(p.To("pathType"), "Prefix", "Exact", "ImplementationSpecific")
			if path := c.text(p.To("path")); path != "" && !strings.HasPrefix(path, "/") {
				c.fail(p.To("path"), BadField, "%q does not begin with /", path)
			}
			c.backend(p.To("backend"))
		}
	}
}

func (c *checker) backend(path deploy.Path) {
	service, _ := c.at(path.To("service")...).(map[string]any)
	if service == nil {
		if c.at(path.To("resource")...) == nil {
			c.fail(path, BadField, "has no service")
		}
		return
	}
	name, number := c.at(path.To("service", "port", "name")...), c.at(path.To("service", "port", "number")...)
	if (name == nil || name == "") == (number == nil) {
		c.fail(path.To("service", "port"), BadField, "needs either a name or a number")
	}
}

func (c *checker) binding() {
	for _, field := range []string{"kind", "name"} {
		if c.text(deploy.Path{"roleRef", field}) == "" {
			c.fail(deploy.Path{"roleRef", field}, BadField, "is missing")
		}
	}
	c.oneOf(deploy.Path{"roleRef", "kind"}, "Role", "ClusterRole")
	for _, s := range c.items(deploy.Path{"subjects"}) {
		c.oneOf(s.To("kind"), "User", "Group", "ServiceAccount")
		if c.text(s.To("name")) == "" {
			c.fail(s.To("name"), BadField, "is missing")
		}
		if c.object.Kind() == "ClusterRoleBinding" && c.text(s.To("kind")) == "ServiceAccount" && c.text(s.To("namespace")) == "" {
			c.fail(s.To("namespace"), BadField, "is missing (a ServiceAccount has one)")
		}
	}
}
