package stages_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

const migrating = `slipway: v1
name: shop
vars:
  password: {type: secret, default: hunter2hunter2}
stages:
  api:
    build: {context: api, push: r.example/api}
  migrate:
    exec:
      in: cluster
      image: ${{ stages.api.image }}
      command: [/api, migrate]
      user: "65532"
      env: {LOG: debug, PASSWORD: "${{ vars.password }}"}
      envFrom: [db, {configMap: settings}]
      serviceAccount: migrator
      resources: {limits: {memory: 64Mi}}
`

// TestExecInCluster checks that a command runs once for one content, with no
// secret in the Job, and again when something of it changes.
func TestExecInCluster(t *testing.T) {
	f := newFixture(t, migrating)
	if got := text(t, f.plan()); !strings.Contains(got, `"object": "Job of image of api"`) {
		t.Errorf("plan:\n%s", got)
	}
	run := func(jobs int) {
		t.Helper()
		if _, err := f.run(); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, did := range f.world.Log {
			if strings.HasPrefix(did, "job shop-migrate-") {
				n++
			}
		}
		if n != jobs {
			t.Errorf("%d Jobs were started, want %d: %q", n, jobs, f.world.Log)
		}
	}
	run(1)
	for _, job := range f.world.Jobs {
		b, err := json.Marshal(job.Object.Body)
		if err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("the Job holds a secret: %s, %v", b, err)
		}
		if job.Secrets["PASSWORD"] != "hunter2hunter2" || len(job.Secrets) != 1 {
			t.Errorf("secrets are %v", job.Secrets)
		}
		for _, want := range []string{
			`"command":["/api","migrate"]`, `"secretKeyRef":{"key":"PASSWORD","name":"` + job.Object.Name() + `"}`, `"secretRef":{"name":"db"}`, `"configMapRef":{"name":"settings"}`,
			`"serviceAccountName":"migrator"`, `"limits":{"memory":"64Mi"}`, `"runAsNonRoot":true`, `"runAsUser":65532`, `"drop":["ALL"]`, `"backoffLimit":0`, `"image":"r.example/api@sha256:`,
		} {
			if !strings.Contains(string(b), want) {
				t.Errorf("no %s in %s", want, b)
			}
		}
	}
	run(1)
	if n := f.plan().Effects(); n != 0 {
		t.Errorf("%d effects are left", n)
	}
	f.write("slipway.yaml", strings.Replace(migrating, "hunter2hunter2", "changed-password", 1))
	run(1)
	f.write("slipway.yaml", strings.Replace(migrating, "LOG: debug", "LOG: info", 1))
	run(2)
	f.write("slipway.yaml", strings.Replace(migrating, "user:", "rerun: true\n      user:", 1))
	run(3)

	f = newFixture(t, migrating)
	f.world.FailExec = errors.New("exit code 3")
	_, err := f.run()
	var failed *deploy.JobError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("error = %v", err)
	}
}

func TestExecInClusterMistakes(t *testing.T) {
	for edit, want := range map[string]string{
		`user: "65532" → user: nobody`:                      "user is a number",
		"in: cluster → in: clutser":                         `did you mean "cluster"?`,
		"in: cluster → in: builder":                         "is for in: cluster",
		"envFrom: [db → cache: true\n      envFrom: [db":    "cache is for the builder",
		", push: r.example/api → ":                          "no node can pull it",
		"{configMap: settings} → {configMap: a, secret: b}": "want one of secret: and configMap:",
	} {
		old, replace, _ := strings.Cut(edit, " → ")
		f := newFixture(t, strings.Replace(migrating, old, replace, 1))
		_, err := f.try()
		var list pipeline.ErrorList
		if !errors.As(err, &list) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", edit, err, want)
		}
	}
}
