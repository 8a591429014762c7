package schema_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy/schema"
)

func TestReleases(t *testing.T) {
	const budget = "kind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {minAvailable: 1, selector: {}}\n"
	for name, row := range map[string]struct{ version, asked, text, want string }{
		"newest":            {"", "", "apiVersion: policy/v1beta1\n" + budget, "Kubernetes has no policy/v1beta1 PodDisruptionBudget since 1.25 (write apiVersion: policy/v1)"},
		"by flag, gone":     {"1.25", "", "apiVersion: policy/v1beta1\n" + budget, "since 1.25"},
		"by flag, there":    {"1.24", "", "apiVersion: policy/v1beta1\n" + budget, ""},
		"by cluster, there": {"", "v1.24.9-eks-1", "apiVersion: policy/v1beta1\n" + budget, ""},
		"by cluster, gone":  {"", "v1.30.0+k3s1", "apiVersion: policy/v1beta1\n" + budget, "since 1.25"},
		"not yet":           {"1.20", "", "apiVersion: policy/v1\n" + budget, "Kubernetes has policy/v1 PodDisruptionBudget from 1.21 on, and this is for 1.20 (write apiVersion: policy/v1beta1)"},
		"already":           {"1.21", "", "apiVersion: policy/v1\n" + budget, ""},
		"beta, not known":   {"", "", "apiVersion: storage.k8s.io/v1beta1\nkind: VolumeAttributesClass\nmetadata: {name: x}\ndriverName: y\n", ""},
		"no replacement":    {"", "", "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: x}\n", "(use Pod Security Admission"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &schema.Validator{Version: row.version}
			asked := 0
			v.Ask = func(context.Context) (string, error) {
				if asked++; row.asked == "" {
					return "", errors.New("no cluster")
				}
				return row.asked, nil
			}
			errs := validate(t, v, row.text)
			if row.want == "" && len(errs) > 0 || row.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), row.want)) {
				t.Errorf("got %v, want %q", errs, row.want)
			}
			if row.version != "" && asked > 0 {
				t.Error("the cluster was asked although the version is given")
			}
		})
	}
	for text, ok := range map[string]bool{"1.33": true, "v1.33.2": true, "1.33+": true, "v1.33.2-gke.100": true, "latest": false, "1": false, "": false} {
		if err := schema.CheckVersion(text); (err == nil) != ok {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
