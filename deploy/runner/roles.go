package runner

import (
	"github.com/slipway-ci/slipway/deploy"
)

// accounts are who the parts are. Neither has a token but where a pod asks for one.
func (s Spec) accounts() []deploy.Object {
	var objs []deploy.Object
	add := func(part, namespace string) {
		objs = append(objs, s.object("v1", "ServiceAccount", namespace, s.account(part), part, map[string]any{"automountServiceAccountToken": false}))
	}
	if s.Build != nil {
		add(builder, s.BuildNamespace)
	}
	if s.Deploy != nil {
		add(deployer, s.Namespace)
	}
	return objs
}

const rbac = "rbac.authorization.k8s.io"

// roles let the deployer do what it needs: a Role for each namespace, and a
// ClusterRole for what is in none.
func (s Spec) roles() []deploy.Object {
	if s.Deploy == nil {
		return nil
	}
	var objs []deploy.Object
	rights := deploy.JoinRights(s.Rights)
	for len(rights) > 0 {
		namespace, n := rights[0].Namespace, 0
		var rules []any
		for ; n < len(rights) && rights[n].Namespace == namespace; n++ {
			rules = append(rules, rule(rights[n]))
		}
		rights = rights[n:]
		kind, name := "Role", s.account(deployer)
		if namespace == "" {
			kind, name = "ClusterRole", "slipway-"+s.Namespace+"-"+name // others may be called as we are
		}
		objs = append(objs,
			s.object(rbac+"/v1", kind, namespace, name, deployer, map[string]any{"rules": rules}),
			s.object(rbac+"/v1", kind+"Binding", namespace, name, deployer, map[string]any{
				"roleRef":  map[string]any{"apiGroup": rbac, "kind": kind, "name": name},
				"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": s.account(deployer), "namespace": s.Namespace}},
			}))
	}
	return objs
}

// rule returns a right as RBAC writes it.
func rule(r deploy.Right) map[string]any {
	rule := map[string]any{"apiGroups": texts(r.Group), "resources": texts(r.Resource), "verbs": texts(r.Verbs...)}
	if len(r.Names) > 0 {
		rule["resourceNames"] = texts(r.Names...)
	}
	return rule
}
