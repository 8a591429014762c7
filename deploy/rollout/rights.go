package rollout

import "github.com/slipway-ci/slipway/deploy"

// Rights returns what has to be allowed so that [Watcher.Wait] can judge the
// workloads of set. Custom kinds are watched, too; who applies them names those.
func Rights(set deploy.Set) []deploy.Right {
	var rights []deploy.Right
	works, _ := workloads(set, nil)
	for _, w := range works {
		if w.custom {
			continue
		}
		watched := resources()[w.object.Kind()]
		for _, resource := range watched {
			rights = append(rights, deploy.Right{Namespace: w.namespace, Group: groupOf(resource), Resource: resource, Verbs: []string{"list", "watch"}})
		}
		if len(watched) > 1 { // pods, which may have last words
			rights = append(rights, deploy.Right{Namespace: w.namespace, Resource: "pods/log", Verbs: []string{"get"}})
		}
	}
	return deploy.JoinRights(rights)
}
