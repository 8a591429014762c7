package runner_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/runner"
)

func spec() runner.Spec {
	return runner.Spec{
		Name: strings.Repeat("n", runner.MostName), ID: "20260102-150405-a1b2c3", Namespace: "shop", BuildNamespace: "builds", Image: "r.example/slipway:v1",
		Fetch: []string{"fetch", "https://git.example/shop#main", runner.Tree}, Build: []string{"run", "--no-deploy"}, Deploy: []string{"run", "--from", "x"},
		Rights: []deploy.Right{
			{Resource: "namespaces", Names: []string{"kube-system"}, Verbs: []string{"get"}},
			{Namespace: "shop", Group: "apps", Resource: "deployments", Verbs: []string{"get", "list"}},
			{Namespace: "other", Resource: "services", Verbs: []string{"get"}},
		},
		Deadline: time.Hour, Keep: time.Minute,
	}
}

func TestObjects(t *testing.T) {
	var got []string
	for _, o := range spec().Objects() {
		got = append(got, strings.ReplaceAll(o.String(), strings.Repeat("n", runner.MostName), "N"))
		if len(o.Name()) > 63 {
			t.Errorf("%s has %d characters", o, len(o.Name()))
		}
	}
	want := []string{
		"ServiceAccount builds/N-builder", "ServiceAccount shop/N-deployer",
		"ClusterRole slipway-shop-N-deployer", "ClusterRoleBinding slipway-shop-N-deployer",
		"Role other/N-deployer", "RoleBinding other/N-deployer", "Role shop/N-deployer", "RoleBinding shop/N-deployer",
		"NetworkPolicy builds/N-builder", "NetworkPolicy shop/N-deployer",
		"Job builds/N-build-20260102-150405-a1b2c3", "Job shop/N-deploy-20260102-150405-a1b2c3",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	for _, o := range spec().Objects() { // whoever builds may do nothing
		if subjects, ok := o.Field("subjects").([]any); ok && (len(subjects) != 1 || !strings.HasSuffix(fmt.Sprint(o.Field("subjects", "0", "name")), "-deployer")) {
			t.Errorf("%s is for %v", o, subjects)
		}
	}
}

// TestPods checks what each part may do on its node: the deployer all that Pod
// Security calls restricted, the builder no more than builds need.
func TestPods(t *testing.T) {
	s := spec()
	s.Cache, s.PullSecret, s.EnvFrom = "5Gi", "registries", []string{"creds"}
	for _, o := range s.Objects() {
		if o.Kind() != "Job" {
			continue
		}
		building := strings.Contains(o.Name(), "-build-")
		pod := func(path ...string) any {
			return o.Field(append([]string{"spec", "template", "spec"}, path...)...)
		}
		if got, want := pod("automountServiceAccountToken"), !building; got != want {
			t.Errorf("%s: has a token: %v", o, got)
		}
		want := "RuntimeDefault"
		if building {
			want = "Unconfined"
		}
		if got := pod("securityContext", "seccompProfile", "type"); got != want || pod("securityContext", "runAsNonRoot") != true {
			t.Errorf("%s: seccomp is %v, want %s", o, got, want)
		}
		for _, list := range []string{"initContainers", "containers"} {
			at := []string{list, "0", "securityContext"}
			if pod(append(at, "allowPrivilegeEscalation")...) != false || fmt.Sprint(pod(append(at, "capabilities", "drop")...)) != "[ALL]" || pod(append(at, "readOnlyRootFilesystem")...) != !building {
				t.Errorf("%s, %s: %v", o, list, pod(at...))
			}
			if got := pod(list, "0", "envFrom", "0", "secretRef", "name"); got != "creds" {
				t.Errorf("%s, %s: environment from %v", o, list, got)
			}
		}
		if o.Field("spec", "backoffLimit") != int64(0) || o.Field("spec", "activeDeadlineSeconds") != int64(3600) || o.Field("spec", "ttlSecondsAfterFinished") != int64(60) {
			t.Errorf("%s: %v", o, o.Field("spec"))
		}
		if pod("restartPolicy") != "Never" || pod("imagePullSecrets", "0", "name") != "registries" {
			t.Errorf("%s: %v", o, pod())
		}
	}
}

func TestScheduled(t *testing.T) {
	s := spec()
	s.Schedule, s.Build = "0 4 * * *", nil
	var got []string
	for _, o := range s.Objects() {
		got = append(got, o.Kind())
		if o.Kind() == "CronJob" && o.Field("spec", "schedule") != s.Schedule {
			t.Errorf("schedule is %v", o.Field("spec", "schedule"))
		}
	}
	if want := "ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding Role RoleBinding NetworkPolicy CronJob"; strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}
