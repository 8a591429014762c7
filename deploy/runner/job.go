package runner

import (
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// user is who runs in the pods. Builds need one that is not root, and no more.
const user = 1000

// claimName returns what the claim of the builder is called.
func (s Spec) claimName() string { return s.Name + "-cache" }

// claim keeps the state of builds from one to the next.
func (s Spec) claim() deploy.Object {
	return s.object("v1", "PersistentVolumeClaim", s.BuildNamespace, s.claimName(), builder, map[string]any{"spec": map[string]any{
		"accessModes": texts("ReadWriteOnce"),
		"resources":   map[string]any{"requests": map[string]any{"storage": s.Cache}},
	}})
}

// policies close both parts to others; and the builder, which runs what the tree
// says, does not get to where clouds hand out the credentials of their machines.
func (s Spec) policies() []deploy.Object {
	policy := func(part, namespace string, spec map[string]any) deploy.Object {
		spec["podSelector"] = map[string]any{"matchLabels": map[string]any{"app.kubernetes.io/instance": s.Name, labelPart: part}}
		return s.object("networking.k8s.io/v1", "NetworkPolicy", namespace, s.account(part), part, map[string]any{"spec": spec})
	}
	var objs []deploy.Object
	if s.Build != nil {
		anywhere := func(cidr string, but ...string) any {
			return map[string]any{"ipBlock": map[string]any{"cidr": cidr, "except": texts(but...)}}
		}
		objs = append(objs, policy(builder, s.BuildNamespace, map[string]any{
			"policyTypes": texts("Ingress", "Egress"),
			"egress":      []any{map[string]any{"to": []any{anywhere("0.0.0.0/0", "169.254.169.254/32", "169.254.170.0/24"), anywhere("::/0", "fd00:ec2::/32")}}},
		}))
	}
	if s.Deploy != nil {
		objs = append(objs, policy(deployer, s.Namespace, map[string]any{"policyTypes": texts("Ingress")}))
	}
	return objs
}

// job returns the Job of a part, or the CronJob.
func (s Spec) job(part, namespace string, args []string) deploy.Object {
	spec := map[string]any{
		"backoffLimit":            int64(0), // a run that failed would fail again, and says so
		"activeDeadlineSeconds":   int64(s.Deadline / time.Second),
		"ttlSecondsAfterFinished": int64(s.Keep / time.Second),
		"template":                map[string]any{"metadata": map[string]any{"labels": s.labels(part)}, "spec": s.pod(part, args)},
	}
	name := s.Name + "-" + verb(part)
	if s.Schedule == "" {
		return s.object("batch/v1", "Job", namespace, name+"-"+s.ID, part, map[string]any{"spec": spec})
	}
	return s.object("batch/v1", "CronJob", namespace, name, part, map[string]any{"spec": map[string]any{
		"schedule": s.Schedule, "concurrencyPolicy": "Forbid",
		"jobTemplate": map[string]any{"metadata": map[string]any{"labels": s.labels(part)}, "spec": spec},
	}})
}

// pod returns the pod of a part. That of the deployer is what Pod Security calls
// restricted; that of the builder needs user namespaces, which a container
// runtime's seccomp profile forbids, and nothing else.
func (s Spec) pod(part string, args []string) map[string]any {
	building := part == builder
	seccomp := "RuntimeDefault"
	if building {
		seccomp = "Unconfined"
	}
	security := map[string]any{
		"runAsUser": int64(user), "runAsGroup": int64(user), "runAsNonRoot": true,
		"seccompProfile": map[string]any{"type": seccomp},
	}
	volumes := []any{map[string]any{"name": "work", "emptyDir": map[string]any{}}}
	mounts := []any{map[string]any{"name": "work", "mountPath": "/work"}}
	mount := func(name, path string, volume map[string]any) {
		volume["name"] = name
		volumes = append(volumes, volume)
		mounts = append(mounts, map[string]any{"name": name, "mountPath": path})
	}
	env := []any{
		map[string]any{"name": "HOME", "value": "/work"},
		map[string]any{"name": "USER", "value": s.Name},
		map[string]any{"name": "TMPDIR", "value": "/work"},
	}
	if s.PullSecret != "" {
		mount("registries", "/registries", map[string]any{"secret": map[string]any{
			"secretName": s.PullSecret, "items": []any{map[string]any{"key": ".dockerconfigjson", "path": "config.json"}},
		}})
		env = append(env, map[string]any{"name": "DOCKER_CONFIG", "value": "/registries"})
	}
	switch {
	case building && s.Cache != "":
		mount("state", "/state", map[string]any{"persistentVolumeClaim": map[string]any{"claimName": s.claimName()}})
		security["fsGroup"], security["fsGroupChangePolicy"] = int64(user), "OnRootMismatch"
	case building:
		mount("state", "/state", map[string]any{"emptyDir": map[string]any{}})
	}
	if s.Schedule != "" {
		env = append(env, map[string]any{"name": "JOB_NAME", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}})
	}
	container := func(name string, args []string) map[string]any {
		c := map[string]any{
			"name": name, "image": s.Image, "args": texts(args...), "env": env, "volumeMounts": mounts,
			"terminationMessagePolicy": "FallbackToLogsOnError",
			"securityContext": map[string]any{
				"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": !building,
				"capabilities": map[string]any{"drop": texts("ALL")},
			},
		}
		var from []any
		for _, name := range s.EnvFrom {
			from = append(from, map[string]any{"secretRef": map[string]any{"name": name}})
		}
		if from != nil {
			c["envFrom"] = from
		}
		return c
	}
	fetch := s.Fetch
	if building {
		fetch = append(fetch[:len(fetch):len(fetch)], "--private", State)
	}
	run := container(Container, args)
	run["workingDir"] = Tree
	pod := map[string]any{
		"serviceAccountName": s.account(part), "automountServiceAccountToken": !building,
		"restartPolicy": "Never", "enableServiceLinks": false, "terminationGracePeriodSeconds": int64(60),
		"securityContext": security, "volumes": volumes,
		"initContainers": []any{container("fetch", fetch)},
		"containers":     []any{run},
	}
	if s.PullSecret != "" {
		pod["imagePullSecrets"] = []any{map[string]any{"name": s.PullSecret}}
	}
	return pod
}
