package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// actions is a checkout whose workflows are run by act, which reads them as GitHub does, and runs
// their steps on this machine. GitHub itself is a server on loopback that has one release of
// slipway. Act copies the checkout where actions/checkout would fetch it, and where sudo would
// change the machine, a program says what it was asked for.
type actions struct {
	dir      string            // the checkout
	release  []byte            // the binary of the release
	registry *plainRegistry    // where its images go
	env      map[string]string // of the job, besides
}

// heard is a line of what act writes: what a step printed, or what the runner took from it.
type heard struct {
	Command string            // empty: no command; summary and set-output come from files, too
	Name    string            // of an output
	Arg     string            // of a command, and the value of an output
	Props   map[string]string `json:"kvPairs"`
	Content string            // of a summary
	Msg     string
	Result  string   `json:"stepResult"`
	Step    []string `json:"stepID"`
}

// newActions returns the checkout of files with a workflow, committed.
func newActions(t *testing.T, dir, workflow string) *actions {
	t.Helper()
	slipway, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	release, err := os.ReadFile(slipway)
	if err != nil {
		t.Fatal(err)
	}
	files{".github/workflows/it.yml": workflow}.writeTo(t, dir)
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "remote", "add", "origin", "https://github.com/acme/shop")
	commitAll(t, dir)
	return &actions{dir: dir, release: release, registry: newRegistry(t)}
}

// run runs the workflow for an event. It returns whether the job was green, and all that the
// runner heard.
func (a *actions) run(t *testing.T, event string) (bool, []heard) {
	t.Helper()
	act, err := binary("SLIPWAY_ACT", "act")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal(err, " (make action installs what is missing)")
	}
	name := "slipway-linux-" + runtime.GOARCH
	releases := http.NewServeMux()
	for file, body := range map[string][]byte{name: a.release, "checksums.txt": fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(a.release), name)} {
		releases.HandleFunc("GET /slipway-ci/slipway/releases/download/v1.0.0/"+file, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	}
	github := httptest.NewServer(releases)
	defer github.Close()

	action := t.TempDir() // what the runner fetches of this repository
	if err := os.CopyFS(filepath.Join(action, ".github/action"), os.DirFS("../.github/action")); err != nil {
		t.Fatal(err)
	}
	definition, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	files{"action.yml": string(definition)}.writeTo(t, action)
	programs := files{"sudo": "#!/bin/sh\necho \"asked: $*\"\n"}.write(t)
	if err := os.Chmod(filepath.Join(programs, "sudo"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{
		event, "--json", "-P", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--action-cache-path", t.TempDir(),
		"--local-repository", "slipway-ci/slipway@v1.0.0=" + action,
		"--env", "GITHUB_SERVER_URL=" + github.URL, "--env", "SHOP_REGISTRY=" + a.registry.host + "/shop",
	}
	for k, v := range a.env {
		args = append(args, "--env", k+"="+v)
	}
	cmd := exec.CommandContext(t.Context(), act, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir = a.dir
	cmd.Env = []string{"PATH=" + programs + ":" + os.Getenv("PATH"), "HOME=" + newHome(t), "ACT_DISABLE_VERSION_CHECK=1"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var all []heard
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var h heard
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			t.Fatalf("act says %.300s: %v", lines.Text(), err)
		}
		all = append(all, h)
	}
	if lines.Err() != nil || len(all) == 0 {
		t.Fatalf("act says nothing: %v\n%s", lines.Err(), stderr.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, h := range all {
				t.Log(h.Command, h.Name, h.Arg, h.Props, strings.TrimSpace(h.Msg))
			}
		}
	})
	return err == nil, all
}

// only returns what was heard of one command.
func only(all []heard, command string) []heard {
	return slices.DeleteFunc(slices.Clone(all), func(h heard) bool { return h.Command != command })
}

// outputsOf returns the outputs of a step.
func outputsOf(all []heard, step string) map[string]string {
	values := map[string]string{}
	for _, h := range only(all, "set-output") {
		if slices.Equal(h.Step, []string{step}) {
			values[h.Name] = h.Arg
		}
	}
	return values
}

// obeyed fails the test where the runner obeyed something else than these, and the fences around
// what is not addressed to it.
func obeyed(t *testing.T, all []heard, commands ...string) {
	t.Helper()
	fences := map[string]bool{}
	for _, h := range all {
		switch {
		case h.Command == "stop-commands" && len(h.Arg) == 32:
			fences[h.Arg] = true
		case h.Command != "" && !fences[h.Command] && !slices.Contains(commands, h.Command):
			t.Errorf("the runner obeyed %q: %s", h.Command, h.Msg)
		}
	}
	if len(fences) == 0 {
		t.Error("nothing was fenced")
	}
}

// shopCheckout is a copy of examples/shop with the example's check of pull requests.
func shopCheckout(t *testing.T, edits map[string]edit) *actions {
	t.Helper()
	dir := copyTree(t, "../examples/shop")
	files{"base/busybox": ""}.writeTo(t, dir)
	for file, e := range edits {
		replaceIn(t, filepath.Join(dir, file), e.old, e.new)
	}
	workflow, err := os.ReadFile("../examples/workflows/pull-request.yml")
	if err != nil {
		t.Fatal(err)
	}
	return newActions(t, dir, string(workflow))
}

// TestPullRequest runs the example workflow for pull requests, as it stands.
func TestPullRequest(t *testing.T) {
	t.Parallel()
	a := shopCheckout(t, nil)
	var writes []string
	var mu sync.Mutex
	spy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			mu.Lock()
			writes = append(writes, r.Method+" "+r.URL.Path)
			mu.Unlock()
		}
		a.registry.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(spy.Close)
	a.registry = &plainRegistry{strings.TrimPrefix(spy.URL, "http://"), a.registry.handler}
	green, all := a.run(t, "pull_request")
	if !green {
		t.Fatal("the job is red")
	}
	obeyed(t, all, "group", "endgroup", "set-output", "summary") // no environment, path, state or mask for the steps after it
	if len(writes) > 0 {
		t.Errorf("what others read from was written to: %q", writes)
	}

	summaries := only(all, "summary")
	if len(summaries) != 2 {
		t.Fatalf("%d summaries, want one of the run and one of the plans", len(summaries))
	}
	run, plans := summaries[0].Content, summaries[1].Content
	contains(t, run, "## ✅ shop in staging is done\n", "| unit | exec | ok |", "| rollout | deploy | skipped |", "| api | built | <code>sha256:", "```mermaid\nflowchart LR\n", "  s1[\"base<br/>build\"]\n")
	contains(t, plans, "## shop in staging: 12 changes planned\n", "## shop in production: 12 changes planned\n",
		"apply <code>Deployment shop-staging/api</code>", "apply <code>Deployment shop/api</code>", "**Could not be checked**", "no cluster is configured *What it would take:* want a kubeconfig")

	// Nothing is in a registry, so that digest, image and the file's own output web are left out.
	out := outputsOf(all, "2")
	if got, want := slices.Sorted(maps.Keys(out)), []string{"changed", "images", "metadata", "release", "report", "status"}; !slices.Equal(got, want) {
		t.Errorf("outputs are %q, want %q", got, want)
	}
	var images map[string]struct{ Digest, Ref, Action string }
	if err := json.Unmarshal([]byte(out["images"]), &images); err != nil || len(images) != 3 {
		t.Fatalf("images = %s: %v", out["images"], err)
	}
	for stage, im := range images {
		if im.Action != "built" || im.Ref != "" || !strings.Contains(run, "| "+stage+" | built | <code>"+im.Digest+"</code> |") {
			t.Errorf("%s = %+v is not what the summary says", stage, im)
		}
	}
	if out["status"] != "ok" || out["changed"] != "true" {
		t.Errorf("status = %q, changed = %q", out["status"], out["changed"])
	}

	// Whoever sends a pull request decides what runs: the workflow has nothing to take.
	var workflow struct {
		On          any
		Permissions map[string]string
		Jobs        map[string]struct{ Permissions any }
	}
	text, err := os.ReadFile("../examples/workflows/pull-request.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(bytes.Replace(text, []byte("\non:"), []byte("\n\"on\":"), 1), &workflow); err != nil {
		t.Fatal(err)
	}
	if workflow.On != "pull_request" || !maps.Equal(workflow.Permissions, map[string]string{"contents": "read"}) || workflow.Jobs["check"].Permissions != nil {
		t.Errorf("it runs on %v with %v", workflow.On, workflow.Permissions)
	}
	if taken := regexp.MustCompile(`secrets\.|github\.token|GITHUB_TOKEN|actions/cache`).Find(text); taken != nil || !bytes.Contains(text, []byte("persist-credentials: false")) {
		t.Errorf("it hands out %q, or the token of the checkout", taken)
	}
}

// TestPullRequestRed runs the same workflow on what is broken: what is wrong stands beside its
// line, and the summary has cause and cure.
func TestPullRequestRed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edits map[string]edit
		step  string            // which goes red
		at    map[string]string // what the annotation says of where
		cause string            // what it says of why
		says  []string          // what the summary says
	}{
		{
			"dockerfile",
			map[string]edit{"base/Dockerfile": {"RUN mkdir -p /tmp /etc && echo 'app:x:1000:1000::/:/bin/sh' > /etc/passwd", "RUN echo no room for goods >&2; exit 3"}},
			"2",
			map[string]string{"file": "base/Dockerfile", "line": "5", "col": "1", "title": "stage base: build-failed"},
			"exit code: 3\n| no room for goods",
			[]string{"## ❌ shop in staging failed at base\n", "exit code: 3", "<code>base/Dockerfile:5</code>", "<pre>no room for goods<br></pre>", "| base | build | failed |", "| web | build | skipped |"},
		},
		{
			"dockerfile with a cure",
			map[string]edit{"api/Dockerfile": {"COPY --chmod=755 serve ", "COPY --chmod=755 serv "}},
			"2",
			map[string]string{"file": "api/Dockerfile", "line": "2", "col": "1", "title": "stage api: build-failed"},
			`"/serv": no such file to copy (does include: or an ignore file keep it out?)`,
			[]string{"## ❌ shop in staging failed at api\n", "&#34;/serv&#34;: no such file to copy\n", "**What mends it:** does include: or an ignore file keep it out?", "<code>api/Dockerfile:2</code>"},
		},
		{
			"pipeline",
			map[string]edit{"slipway.yaml": {"      context: api\n", "      contxt: api\n"}},
			"2",
			map[string]string{"file": "slipway.yaml", "line": "21", "col": "7", "title": "stage api: unknown-key"},
			`unknown key "contxt" in build (did you mean "context"?)`,
			[]string{"## ❌ slipway run failed at api\n", "**api unknown-key** unknown key &#34;contxt&#34;", "**What mends it:** want one of allow", "<code>slipway.yaml:21</code>"},
		},
		{
			"manifest",
			map[string]edit{"deploy/base/web.yaml": {"replicas:", "replicsa:"}},
			"3",
			map[string]string{"file": "deploy/base/web.yaml", "line": "6", "col": "1", "title": "stage rollout: unknown-field"},
			"spec.replicsa: there is no such field (did you mean replicas?)",
			[]string{"## ❌ slipway plan failed at rollout\n", "spec.replicsa: there is no such field\n", "**What mends it:** did you mean replicas?", "<code>deploy/base/web.yaml:6</code>"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := shopCheckout(t, tt.edits)
			env := filepath.Join(t.TempDir(), "env")
			slipway, err := binary("SLIPWAY_BIN", "slipway")
			if err != nil {
				t.Fatal(err)
			}
			// This release tells what it is given, and with what code it ends.
			a.release = fmt.Appendf(nil, "#!/bin/sh\nenv >%[1]s\n%[2]s \"$@\"\ncode=$?\necho \"exit code $code\"\nexit $code\n", env, slipway)
			green, all := a.run(t, "pull_request")
			if green {
				t.Fatal("the job is green")
			}
			obeyed(t, append(all, heard{Command: "stop-commands", Arg: strings.Repeat("0", 32)}), "group", "endgroup", "set-output", "summary", "error")
			errs := only(all, "error")
			if len(errs) != 1 || !maps.Equal(errs[0].Props, tt.at) || !strings.Contains(errs[0].Arg, tt.cause) {
				t.Errorf("annotations are %+v, want one at %v with %q", errs, tt.at, tt.cause)
			}
			summaries := only(all, "summary")
			if len(summaries) == 0 {
				t.Fatal("there is no summary")
			}
			contains(t, summaries[len(summaries)-1].Content, tt.says...)
			if out := outputsOf(all, "2"); (out["status"] == "failed") != (tt.step == "2") {
				t.Errorf("outputs of the run are %v", out)
			}
			failed := slices.DeleteFunc(slices.Clone(all), func(h heard) bool { return h.Result != "failure" })
			if len(failed) != 1 || !slices.Equal(failed[0].Step, []string{tt.step}) {
				t.Errorf("step %s did not fail: %+v", tt.step, failed)
			}
			code := map[string]string{"pipeline": "exit code 3", "manifest": "exit code 3"}[tt.name]
			if code == "" {
				code = "exit code 4"
			}
			if !slices.ContainsFunc(all, func(h heard) bool { return strings.TrimSpace(h.Msg) == code }) {
				t.Errorf("it does not end with %s", code)
			}
			given, err := os.ReadFile(env)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(given), "INPUT_") || !strings.Contains(string(given), "GITHUB_STEP_SUMMARY=") {
				t.Errorf("slipway is given\n%s", given)
			}
		})
	}
}

// TestActionOutputs runs the workflow that docs/github.md begins with: the step after slipway is
// given all outputs, those of the file, too.
func TestActionOutputs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/github.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```yml\n")
	block, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatal("docs/github.md has no workflow")
	}
	a := newActions(t, files{
		"slipway.yaml": `slipway: v1
name: one
vars: {registry: {env: SHOP_REGISTRY}}
environments: {staging: {namespace: one}}
stages:
  web: {build: {push: {repository: "${{ vars.registry }}/web", tags: [v1, latest]}}}
outputs: {url: "https://shop.example/${{ environment.name }}", built: "${{ stages.web.digest }}"}
`,
		"Dockerfile": "FROM scratch\nCOPY a.html /\n", "a.html": "hello\n",
	}.write(t), "on: push\njobs:\n  it:\n    runs-on: ubuntu-24.04\n    steps:\n      "+strings.ReplaceAll(block, "\n", "\n      ")+"\n")
	green, all := a.run(t, "push")
	if !green {
		t.Fatal("the job is red")
	}
	obeyed(t, all, "group", "endgroup", "set-output", "summary")
	out := outputsOf(all, "slipway")
	names := slices.Sorted(maps.Keys(out))
	digest, repository := out["digest"], a.registry.host+"/shop/web"
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		t.Fatalf("digest = %q", digest)
	}
	for name, want := range map[string]string{
		"image": repository + ":v1@" + digest, "changed": "true", "status": "ok", "url": "https://shop.example/staging", "built": digest,
		"images":   fmt.Sprintf(`{"web":{"ref":"%[1]s:v1@%[2]s","digest":"%[2]s","repository":"%[1]s","tags":["v1","latest"],"platforms":["linux/%[3]s"],"action":"pushed"}}`, repository, digest, runtime.GOARCH),
		"metadata": fmt.Sprintf(`{"web":{"containerimage.digest":"%[2]s","image.name":"%[1]s:v1,%[1]s:latest"}}`, repository, digest),
	} {
		if out[name] != want {
			t.Errorf("%s = %s, want %s", name, out[name], want)
		}
	}
	for name, file := range map[string]string{"report": "report.html", "release": "release.json"} {
		if !strings.HasSuffix(out[name], "/"+file) || !filepath.IsAbs(out[name]) {
			t.Errorf("%s = %s", name, out[name])
		}
	}
	// All are documented, and the action hands on those that it names.
	definition, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct{ Outputs map[string]any }
	if err := yaml.Unmarshal(definition, &action); err != nil {
		t.Fatal(err)
	}
	if got, want := names, slices.Sorted(maps.Keys(action.Outputs)); !slices.Equal(slices.DeleteFunc(got, func(n string) bool { return n == "url" || n == "built" }), want) {
		t.Errorf("outputs are %q, want %q", got, want)
	}
	for name := range action.Outputs {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/github.md does not say what %s is", name)
		}
	}
	if !slices.ContainsFunc(all, func(h heard) bool { return h.Msg == out["image"]+" runs\n" }) {
		t.Error("the step after it was not given the image")
	}
}

// TestActionCanceled cancels a job in the middle of a build, as the runner does: it interrupts
// what it started, and asks again only after 7.5 s.
func TestActionCanceled(t *testing.T) {
	t.Parallel()
	s := newSleeper(t, ourselves(t))
	slipway, err := binary("SLIPWAY_BIN", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	wrapper, err := filepath.Abs("../.github/action/main.mjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := s.as.command(t, call{Env: append(s.env, "INPUT_COMMAND=run", "INPUT_ARGS=--var pause="+s.pause, "INPUT_VERSION="+slipway)})
	if cmd.Path, err = exec.LookPath("node"); err != nil {
		t.Fatal(err, " (make node installs it)")
	}
	cmd.Args, cmd.Dir = []string{"node", wrapper}, s.dir
	run := begin(t, cmd)
	run.says(asleep)
	if len(s.left(t)) == 0 {
		t.Fatal("nothing is seen of a build that runs: this test would prove nothing")
	}
	run.send(syscall.SIGINT)
	run.end(7*time.Second).want(t, 130)
	if left := s.left(t); len(left) > 0 {
		t.Errorf("left at exit:\n%s", strings.Join(left, "\n"))
	}
}

// contains fails the test unless text holds each of the words.
func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in\n%s", w, text)
		}
	}
}
