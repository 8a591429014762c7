package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/slipway-ci/slipway/deploy"
)

// pod checks the pod template of a workload, or a pod.
func (c *checker) pod() {
	spec := deploy.PodSpec(c.object)
	if c.object.Kind() != "Pod" {
		c.labels(spec[:len(spec)-1].To("metadata", "labels"))
	}
	volumes := c.volumes(spec)
	names := once{}
	containers := c.items(spec.To("containers"))
	if len(containers) == 0 {
		c.fail(spec.To("containers"), BadField, "is empty (a pod needs a container)")
	}
	for _, p := range c.items(spec.To("initContainers")) {
		c.container(p, names, volumes)
	}
	for _, p := range containers {
		c.container(p, names, volumes)
	}
}

// volumes checks the volumes of a pod and returns their names.
func (c *checker) volumes(spec deploy.Path) []string {
	var known []string
	names := once{}
	for _, p := range c.items(spec.To("volumes")) {
		name := c.text(p.To("name"))
		c.dnsName(p.To("name"), name)
		names.see(c, p.To("name"), name, "the name of two volumes")
		known = append(known, name)
		body, _ := c.at(p...).(map[string]any)
		if len(body) > 2 {
			c.fail(p, BadField, "volume %s has more than one source (keep one)", name)
		}
	}
	for _, p := range c.items(deploy.Path{"spec", "volumeClaimTemplates"}) {
		known = append(known, c.text(p.To("metadata", "name")))
		c.claim(p.To("spec"))
	}
	return known
}

func (c *checker) dnsName(path deploy.Path, name string) {
	switch {
	case name == "":
		c.fail(path, BadField, "is missing")
	case len(validation.IsDNS1123Label(name)) > 0:
		c.fail(path, BadField, "%q cannot be a name (want lower-case letters, digits and -, a letter or digit at both ends, at most 63)", name)
	}
}

func (c *checker) container(p deploy.Path, names once, volumes []string) {
	name := c.text(p.To("name"))
	c.dnsName(p.To("name"), name)
	names.see(c, p.To("name"), name, "the name of two containers")
	switch image := c.text(p.To("image")); {
	case image == "":
		c.fail(p.To("image"), BadField, "container %s has no image", name)
	case strings.TrimSpace(image) != image || strings.ContainsAny(image, " \t\n"):
		c.fail(p.To("image"), BadField, "%q has blanks", image)
	}
	c.oneOf(p.To("imagePullPolicy"), "Always", "IfNotPresent", "Never")
	c.ports(p)
	c.environment(p)
	c.mounts(p, volumes)
	c.amounts(p.To("resources"))
	for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		c.probe(p.To(probe))
	}
	for _, hook := range []string{"postStart", "preStop"} {
		c.handler(p.To("lifecycle", hook), "exec", "httpGet", "tcpSocket", "sleep")
	}
}

func (c *checker) ports(container deploy.Path) {
	names, numbers := once{}, once{}
	for _, p := range c.items(container.To("ports")) {
		c.port(p.To("containerPort"), true)
		c.port(p.To("hostPort"), false)
		c.oneOf(p.To("protocol"), "TCP", "UDP", "SCTP")
		name := c.text(p.To("name"))
		if name != "" && len(validation.IsValidPortName(name)) > 0 {
			c.fail(p.To("name"), BadField, "%q cannot be the name of a port (want at most 15 lower-case letters, digits and -, with a letter)", name)
		}
		names.see(c, p.To("name"), name, "the name of two ports")
		numbers.see(c, p.To("containerPort"), fmt.Sprint(integer(c.at(p.To("containerPort")...)), "/", protocol(c.text(p.To("protocol")))), "a port of this container twice")
	}
}

// environment checks variables. One that is written twice is refused when it
// is applied server-side, where the name tells them apart.
func (c *checker) environment(container deploy.Path) {
	names := once{}
	for _, p := range c.items(container.To("env")) {
		name := c.text(p.To("name"))
		switch {
		case name == "":
			c.fail(p.To("name"), BadField, "is missing")
		case strings.ContainsAny(name, "= \t"):
			c.fail(p.To("name"), BadField, "%q cannot be the name of a variable", name)
		}
		names.see(c, p.To("name"), name, "a variable of this container twice")
		from, _ := c.at(p.To("valueFrom")...).(map[string]any)
		switch {
		case from != nil && c.text(p.To("value")) != "":
			c.fail(p.To("valueFrom"), BadField, "variable %s has a value, too (keep one of them)", name)
		case from != nil && len(from) != 1:
			c.fail(p.To("valueFrom"), BadField, "variable %s needs exactly one source", name)
		}
	}
	for _, p := range c.items(container.To("envFrom")) {
		if c.at(p.To("configMapRef")...) == nil == (c.at(p.To("secretRef")...) == nil) {
			c.fail(p, BadField, "needs either configMapRef or secretRef")
		}
	}
}

func (c *checker) mounts(container deploy.Path, volumes []string) {
	paths := once{}
	for _, p := range c.items(container.To("volumeMounts")) {
		name := c.text(p.To("name"))
		if !slices.Contains(volumes, name) {
			c.fail(p.To("name"), BadField, "there is no volume %s%s", name, mountCure(name, volumes))
		}
		path := c.text(p.To("mountPath"))
		if path == "" {
			c.fail(p.To("mountPath"), BadField, "is missing")
		}
		paths.see(c, p.To("mountPath"), path, "mounted twice")
	}
}

func mountCure(name string, volumes []string) string {
	if near := nearest(name, volumes); near != "" {
		return near
	}
	if len(volumes) == 0 {
		return " (the pod has none: add it to volumes)"
	}
	return " (add it to volumes; the pod has " + strings.Join(volumes, ", ") + ")"
}

// amounts checks that nothing is requested beyond its limit.
func (c *checker) amounts(path deploy.Path) {
	requests, _ := c.at(path.To("requests")...).(map[string]any)
	for name := range requests {
		limit := c.at(path.To("limits", name)...)
		if limit == nil {
			continue
		}
		least, okLeast := c.quantity(path.To("requests", name), requests[name])
		most, okMost := c.quantity(path.To("limits", name), limit)
		if okLeast && okMost && least.Cmp(most) > 0 {
			c.fail(path.To("requests", name), BadField, "%v is more than its limit, %v", requests[name], limit)
		}
	}
}

var portName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[a-z]`) })

func (c *checker) probe(path deploy.Path) {
	if c.at(path...) == nil {
		return
	}
	c.handler(path, "exec", "httpGet", "tcpSocket", "grpc")
	for _, field := range []string{"periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold", "initialDelaySeconds"} {
		if v := c.at(path.To(field)...); v != nil && integer(v) < 0 {
			c.fail(path.To(field), BadField, "%v is less than 0", v)
		}
	}
	if n := c.at(path.To("successThreshold")...); n != nil && integer(n) > 1 && path[len(path)-1] != "readinessProbe" {
		c.fail(path.To("successThreshold"), BadField, "must be 1 here (only a readinessProbe may have more)")
	}
}

// handler checks that what is at path does exactly one thing.
func (c *checker) handler(path deploy.Path, ways ...string) {
	body, _ := c.at(path...).(map[string]any)
	if body == nil {
		return
	}
	var used []string
	for _, way := range ways {
		if body[way] != nil {
			used = append(used, way)
		}
	}
	switch len(used) {
	case 0:
		c.fail(path, BadField, "does nothing (want one of %s)", strings.Join(ways, ", "))
		return
	case 1:
	default:
		c.fail(path, BadField, "does more than one thing: %s (keep one)", strings.Join(used, ", "))
		return
	}
	port := path.To(used[0], "port")
	switch used[0] {
	case "httpGet", "tcpSocket":
		v := c.at(port...)
		if name, isText := v.(string); v == nil || isText && !portName().MatchString(name) {
			c.fail(port, BadField, "is no port (want a number without quotes, or the name of a port)")
		} else if !isText {
			c.port(port, true)
		}
	case "grpc":
		c.port(port, true)
	}
}
