package stages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/engine"
	"github.com/slipway-ci/slipway/stages"
)

// answers is a Prober that gives its answers one after the other, and the last
// one again and again. The zero answer is silence.
type answers struct {
	list  []deploy.Answer
	asked []deploy.Request
}

func (a *answers) Ask(ctx context.Context, r deploy.Request) (deploy.Answer, error) {
	a.asked = append(a.asked, r)
	if len(a.list) == 0 {
		return deploy.Answer{}, errors.New("connection refused")
	}
	one := a.list[0]
	a.list = a.list[min(1, len(a.list)-1):]
	if one.Status == 0 {
		select {
		case <-time.After(10 * time.Second):
		case <-ctx.Done():
		}
		return one, errors.New("no answer within 10s")
	}
	return one, nil
}

func TestVerifyHTTP(t *testing.T) {
	ok := deploy.Answer{Status: 200, Header: map[string][]string{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte("version 7\nready")}
	down := deploy.Answer{Status: 503, Body: []byte("not\nyet")}
	moved := deploy.Answer{Status: 302, Header: map[string][]string{"Location": {"https://login.example/"}}}
	value := pipeline.Known
	for name, tt := range map[string]struct {
		http stages.HTTP
		list []deploy.Answer
		took time.Duration
		want string // in the error
	}{
		"at once":        {stages.HTTP{}, []deploy.Answer{ok}, 0, ""},
		"after a while":  {stages.HTTP{}, []deploy.Answer{down, down, ok}, 1500 * time.Millisecond, ""},
		"never":          {stages.HTTP{Within: 7 * time.Second}, []deploy.Answer{down}, 7 * time.Second, `want status 200: after 7s, GET https://shop.example/: it answered 503 "not yet"`},
		"nobody":         {stages.HTTP{}, nil, 30 * time.Second, "connection refused"},
		"another status": {stages.HTTP{Status: 503}, []deploy.Answer{down}, 0, ""},
		"elsewhere":      {stages.HTTP{}, []deploy.Answer{moved}, 30 * time.Second, `leads to "https://login.example/", which is not followed`},
		"all of it":      {stages.HTTP{Header: map[string]string{"content-type": "text/plain"}, Body: &stages.Body{Contains: "ready", Regex: `version [0-9]`}}, []deploy.Answer{ok}, 0, ""},
		"wrong header":   {stages.HTTP{Header: map[string]string{"content-type": "json"}}, []deploy.Answer{ok}, 30 * time.Second, `content-type "text/plain; charset=utf-8"`},
		"wrong body":     {stages.HTTP{Body: &stages.Body{Contains: "steady"}}, []deploy.Answer{ok}, 30 * time.Second, `want status 200, a body with "steady": `},
		"unlike body":    {stages.HTTP{Body: &stages.Body{Regex: `version [a-z]`}}, []deploy.Answer{ok}, 30 * time.Second, `"version 7 ready"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, "")
				tt.http.URL = value("https://shop.example/")
				tt.http.Headers = map[string]pipeline.Value{"X-Key": value("k")}
				prober := &answers{list: tt.list}
				tools := f.world.Tools()
				tools.Prober = prober
				v := stages.NewVerify(tools)
				v.HTTP = &tt.http
				plan, err := new(engine.Planner).Plan(t.Context(), &pipeline.Pipeline{Stages: []pipeline.Stage{{ID: "smoke", Kind: "verify", Body: v}}}, pipeline.Scope{})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = new(engine.Runner).Run(t.Context(), plan)
				var failed *stages.VerifyError
				switch {
				case tt.want == "" && err != nil:
					t.Error(err)
				case tt.want != "" && (!errors.As(err, &failed) || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("error = %v, want %s", err, tt.want)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				if r := prober.asked[0]; r.Method != "GET" || r.Header.Get("X-Key") != "k" {
					t.Errorf("asked %+v", r)
				}
			})
		})
	}
}

// TestVerifyTimeouts checks that what was answered last is told, when nothing is any more, and when
// it is the timeout of the stage that ends it.
func TestVerifyTimeouts(t *testing.T) {
	down := deploy.Answer{Status: 503, Body: []byte("migrating \x1b[2J\u202e 3 of 7")}
	const told = `it answered 503 "migrating \x1b[2J\u202e 3 of 7"`
	for _, tt := range []struct {
		name   string
		list   []deploy.Answer
		policy pipeline.Policy
		want   []string
		late   bool
	}{
		{"silent", []deploy.Answer{down, {}}, pipeline.Policy{}, []string{"want status 200: after 30s, GET https://shop.example/: no answer within 10s; before that, " + told}, false},
		{"timeout", []deploy.Answer{down}, pipeline.Policy{Timeout: 4 * time.Second}, []string{"took longer than its timeout of 4s: want status 200: GET https://shop.example/: " + told}, true},
		{"timeout, silent", []deploy.Answer{{}}, pipeline.Policy{Timeout: 4 * time.Second}, []string{"took longer than its timeout of 4s: want status 200: nothing was answered"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tools := newFixture(t, "").world.Tools()
				tools.Prober = &answers{list: tt.list}
				v := stages.NewVerify(tools)
				v.HTTP = &stages.HTTP{URL: pipeline.Known("https://shop.example/")}
				plan, err := new(engine.Planner).Plan(t.Context(), &pipeline.Pipeline{Stages: []pipeline.Stage{{ID: "smoke", Kind: "verify", Policy: tt.policy, Body: v}}}, pipeline.Scope{})
				if err != nil {
					t.Fatal(err)
				}
				_, err = new(engine.Runner).Run(t.Context(), plan)
				var late *engine.TimeoutError
				if errors.As(err, &late) != tt.late {
					t.Errorf("error = %v, late: %v", err, tt.late)
				}
				for _, want := range tt.want {
					if err == nil || !strings.HasSuffix(err.Error(), want) {
						t.Errorf("error = %v\nwant    %s", err, want)
					}
				}
			})
		})
	}
}

// TestVerifyExec checks that a command which fails in a verify is no broken build.
func TestVerifyExec(t *testing.T) {
	f := newFixture(t, "slipway: v1\nname: shop\nstages:\n  api:\n    build: {context: api}\n  smoke:\n    verify: {exec: {image: \"${{ stages.api.image }}\", command: [/smoke]}}\n")
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	f.world.FailExec = &buildkit.ExitError{Code: 3}
	_, err := f.run()
	var failed *stages.VerifyError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("error = %v", err)
	}
}

// TestVerifyRollsBack checks that a deploy goes back when what checks it fails, if
// it says so and this run changed it.
func TestVerifyRollsBack(t *testing.T) {
	const smoke = "  smoke:\n    needs: [rollout]\n    verify: {exec: {image: \"${{ stages.web.image }}\", command: [/smoke]}}\n"
	f := newFixture(t, rollingBack+smoke)
	if _, err := f.run(); err != nil {
		t.Fatal(err)
	}
	good := digestOfWeb(f.world)
	f.world.FailExec = &buildkit.ExitError{Code: 3}
	if _, err := f.run(); err == nil || digestOfWeb(f.world) != good || len(revisions(t, f.world)) != 1 {
		t.Errorf("what this run did not change went back: %v", err)
	}
	f.write("web/Dockerfile", "FROM base\nRUN more\n")
	_, err := f.run()
	var back *deploy.RolledBackError
	var failed *stages.VerifyError
	if !errors.As(err, &back) || back.To != 1 || !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
	if now := digestOfWeb(f.world); now != good {
		t.Errorf("web runs %s, want %s", now, good)
	}
	f.write("slipway.yaml", strings.Replace(rollingBack, "onFailure: rollback", "onFailure: leave", 1)+smoke)
	if _, err := f.run(); err == nil || errors.As(err, &back) && digestOfWeb(f.world) == good {
		t.Errorf("it went back although it says leave: %v", err)
	}
}
