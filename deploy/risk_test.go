package deploy_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestUnapproved(t *testing.T) {
	kind := func(name string) deploy.Object {
		return deploy.Object{Body: map[string]any{"kind": name, "metadata": map[string]any{"name": "x"}}}
	}
	body := func(text string) map[string]any {
		var b map[string]any
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	web := func(replicas, container string) map[string]any {
		return body(`{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": ` + replicas + `, "template": {"spec": {"containers": [` + container + `]}}}}`)
	}
	configure := func(was, is map[string]any) deploy.Change {
		return deploy.Change{Op: deploy.Configure, Live: was, Object: deploy.Object{Body: is}}
	}
	const probed, bare = `{"name": "a", "image": "r/a:v1.2.0", "readinessProbe": {}}`, `{"name": "a", "image": "r/a:v1.2.0"}`
	service := func(label string) map[string]any {
		return body(`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"selector": {"app": "` + label + `"}}}`)
	}
	autoscaled := func(replicas string) map[string]any {
		o := web(replicas, bare)
		o["metadata"] = body(`{"name": "x", "managedFields": [{"manager": "kube-controller-manager", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}`)
		return o
	}
	image := func(ref string) map[string]any { return web("1", `{"name": "a", "image": "`+ref+`"}`) }
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
		{"a workload made anew", deploy.Change{Op: deploy.Replace, Object: deploy.Object{Body: web("1", bare)}}, nil, deploy.ReplaceWorkload},
		{"a service that leads elsewhere", configure(service("a"), service("b")), nil, deploy.ChangeSelector},
		{"a service that does not", configure(service("a"), service("a")), nil, ""},
		{"no replicas any more", configure(web("2", bare), web("0", bare)), nil, deploy.ScaleToZero},
		{"no replicas as before", configure(web("0", bare), web("0", bare)), nil, ""},
		{"fewer replicas", configure(web("3", bare), web("2", bare)), nil, ""},
		{"one replica of two", configure(web("2", bare), web("1", bare)), nil, deploy.SingleReplica},
		{"one replica as before", configure(web("1", probed), web("1", probed)), nil, ""},
		{"replicas of an autoscaler", configure(autoscaled("5"), web("3", bare)), nil, deploy.OverrideScaler},
		{"replicas as an autoscaler has them", configure(autoscaled("5"), web("5", bare)), nil, ""},
		{"a probe less", configure(web("1", probed), web("1", bare)), nil, deploy.RemoveProbe},
		{"a probe more", configure(web("1", bare), web("1", probed)), nil, ""},
		{"a container less", configure(web("1", probed), web("1", `{"name": "b", "image": "r/b"}`)), nil, ""},
		{"an older image", configure(image("r/a:v1.10.0@sha256:1"), image("r/a:v1.9.9@sha256:2")), nil, deploy.DowngradeImage},
		{"an older image, approved", configure(image("r/a:1.10.0"), image("r/a:1.9.9")), []deploy.Risk{deploy.DowngradeImage}, ""},
		{"a candidate of what runs", configure(image("r/a:1.0.0"), image("r/a:1.0.0-rc.2")), nil, deploy.DowngradeImage},
		{"an older candidate", configure(image("r/a:1.0.0-rc.10"), image("r/a:1.0.0-rc.9")), nil, deploy.DowngradeImage},
		{"a later image", configure(image("r/a:v1.9.0"), image("r/a:v1.10.0")), nil, ""},
		{"another repository", configure(image("r/a:v2.0.0"), image("r/b:v1.0.0")), nil, ""},
		{"no version", configure(image("r/a:v2.0.0"), image("r/a:main")), nil, ""},
		{"an object that is not known", deploy.Change{Op: deploy.Configure, Object: deploy.Object{Body: web("0", bare)}}, nil, ""},
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
