package stages

import (
	"fmt"
	"path"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Readiness says when objects that run no pods are ready.
type Readiness struct {
	Kind   string `yaml:"kind,required" doc:"Kind of the objects, such as Certificate, or Certificate.cert-manager.io."`
	Name   string `yaml:"name" doc:"Name of the objects, in which * stands for anything. Default: all of the kind."`
	Ready  string `yaml:"ready" doc:"Condition in CEL, as Kubernetes has it, that holds when one is ready; self is the object. Default: what its status says by convention."`
	Failed string `yaml:"failed" doc:"Condition in CEL that holds when one never will be ready. Default: what its status says by convention."`
	Need   string `yaml:"need" enum:"required,optional,ignore" doc:"Whether the rollout waits for them: required (the default), optional (what has become of them is said in the end) or ignore."`
}

// checkReadiness finds what is wrong with the rules as they are written.
func (d *Deploy) checkReadiness() []error {
	var errs []error
	bad := func(n int, field, format string, args ...any) {
		errs = append(errs, &pipeline.FieldError{Field: fmt.Sprintf("readiness[%d].%s", n, field), Code: "bad-value", Err: fmt.Errorf(format, args...)})
	}
	needs := []string{string(deploy.Required), string(deploy.Optional), string(deploy.Ignore)}
	for n, r := range d.Readiness {
		if r.Need != "" && !written(r.Need) && !slices.Contains(needs, r.Need) {
			bad(n, "need", "need is neither required, optional nor ignore%s", pipeline.Nearest(r.Need, needs))
		}
		if _, err := path.Match(r.Name, ""); err != nil {
			bad(n, "name", "%q is no pattern: %w", r.Name, err)
		}
		if r.Ready == "" && r.Failed == "" && r.Need == "" {
			bad(n, "kind", "nothing is said of %s (want ready, failed or need)", r.Kind)
		}
		if d.rollout == nil {
			continue
		}
		for field, text := range map[string]string{"ready": r.Ready, "failed": r.Failed} {
			if text == "" {
				continue
			}
			if err := d.rollout.Readable(text); err != nil {
				bad(n, field, "%s is no condition: %w (want CEL with self, such as self.status.phase == \"Active\")", field, err)
			}
		}
	}
	return errs
}

// readiness returns the rules, each of which is about something in set.
func (d *Deploy) readiness(set deploy.Set) ([]deploy.Readiness, error) {
	var rules []deploy.Readiness
	for n, r := range d.Readiness {
		rule := deploy.Readiness{Kind: r.Kind, Name: r.Name, Ready: r.Ready, Failed: r.Failed, Need: deploy.Need(r.Need)}
		if err := rule.Check(set.Objects, set.Pins); err != nil {
			return nil, &pipeline.FieldError{Field: fmt.Sprintf("readiness[%d].kind", n), Code: "bad-readiness", Err: err}
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
