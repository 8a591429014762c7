package deploy_test

import (
	"errors"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestErrorTexts(t *testing.T) {
	web := object("apps/v1", "Deployment", "shop", "web")
	located := web
	located.File, located.Line = "deploy/web.yaml", 7
	cause := errors.New("is odd")
	for _, row := range []struct {
		err  error
		want string
	}{
		{&deploy.FileError{File: "a.yaml", Line: 3, Err: cause}, "a.yaml:3: is odd"},
		{&deploy.FileError{File: "a.yaml", Err: cause}, "a.yaml: is odd"},
		{&deploy.NoKustomizationError{Dir: "deploy/x"}, "no kustomization in deploy/x (want kustomization.yaml; set kustomize: to its folder)"},
		{&deploy.ObjectError{Object: web, Err: cause}, "Deployment shop/web: is odd"},
		{&deploy.ObjectError{Object: located, Err: cause}, "deploy/web.yaml:7: Deployment shop/web: is odd"},
		{
			&deploy.ConflictError{Fields: []deploy.OwnedField{{Manager: "hpa", Field: "spec.replicas"}, {Manager: "me", Field: "spec.x"}}},
			"spec.replicas belongs to hpa, spec.x belongs to me (leave the field out of the manifest, or take it over with force: [\"spec.replicas\", \"spec.x\"] or --take-from hpa,me)",
		},
		{&deploy.MovedError{Changes: []deploy.Change{{Object: web, Op: deploy.Configure}}}, "the cluster moved since the plan, which does not list: configure Deployment shop/web (run again)"},
		{&deploy.ClusterError{Server: "https://x:6443", Doing: "list pods", Err: cause}, "cluster https://x:6443: list pods: is odd"},
		{&deploy.ClusterError{Err: cause}, "is odd"},
	} {
		if got := row.err.Error(); got != row.want {
			t.Errorf("%T: got %q, want %q", row.err, got, row.want)
		}
	}
	for _, err := range []error{&deploy.FileError{Err: cause}, &deploy.ObjectError{Err: cause}, &deploy.ClusterError{Err: cause}} {
		if !errors.Is(err, cause) {
			t.Errorf("%T does not wrap its cause", err)
		}
	}
}

func TestSetString(t *testing.T) {
	if got := (deploy.Set{Pipeline: "shop", Name: "rollout"}).String(); got != "shop/rollout" {
		t.Errorf("got %s", got)
	}
	if got := (deploy.Set{Name: "rollout"}).String(); got != "rollout" {
		t.Errorf("got %s", got)
	}
}
