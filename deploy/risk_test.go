package deploy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestUnapproved(t *testing.T) {
	kind := func(name string) deploy.Object {
		return deploy.Object{Body: map[string]any{"kind": name, "metadata": map[string]any{"name": "x"}}}
	}
	for _, test := range []struct {
		name     string
		change   deploy.Change
		approved []deploy.Risk
		want     deploy.Risk
	}{
		{"a volume", deploy.Change{Op: deploy.Delete, Object: kind("PersistentVolumeClaim")}, nil, deploy.DeleteVolume},
		{"a volume, approved", deploy.Change{Op: deploy.Delete, Object: kind("PersistentVolumeClaim")}, []deploy.Risk{deploy.DeleteVolume}, ""},
		{"a volume, another risk approved", deploy.Change{Op: deploy.Delete, Object: kind("PersistentVolume")}, []deploy.Risk{deploy.DeleteKind}, deploy.DeleteVolume},
		{"a volume that changes", deploy.Change{Op: deploy.Configure, Object: kind("PersistentVolumeClaim")}, nil, ""},
		{"a volume made anew", deploy.Change{Op: deploy.Replace, Object: kind("PersistentVolumeClaim")}, nil, deploy.DeleteVolume},
		{"a namespace", deploy.Change{Op: deploy.Delete, Object: kind("Namespace")}, nil, deploy.DeleteNamespace},
		{"a definition", deploy.Change{Op: deploy.Delete, Object: kind("CustomResourceDefinition")}, nil, deploy.DeleteKind},
		{"a Job made anew", deploy.Change{Op: deploy.Replace, Object: kind("Job")}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got deploy.Risk
			for _, err := range deploy.Unapproved([]deploy.Change{test.change}, test.approved) {
				var risk *deploy.RiskError
				if !errors.As(err, &risk) {
					t.Fatalf("%T is no RiskError", err)
				}
				got = risk.Risk
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got != "" && !slices.Contains(deploy.Risks(), got) {
				t.Errorf("%s is not among the risks that can be approved", got)
			}
		})
	}
}
