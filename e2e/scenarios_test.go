package e2e_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// A scenario is a rollout that must fail, and its twin that differs in one field and must not.
type scenario struct {
	rule string // the row of the table of deploy/rollout that must see it, or "wait" and what it is about
	name string
	real bool   // on the real kubelet; otherwise on the played one
	all  string // the manifest of the twin; "": healthyWeb with one replica
	both []edit // what both change of it
	red  edit   // the one field in which the red one differs

	before    []edit                                                           // of the twin's manifest: another revision, which is rolled out first
	redBefore edit                                                             // the one field, if it is one of that revision
	after     int                                                              // the exit code of the red one's; the twin's is 0
	prepare   func(t *testing.T, c *cluster, ns string)                        // before anything is deployed
	between   func(t *testing.T, c *cluster, ns string)                        // when the revision before is there
	image     func(t *testing.T, red bool) string                              // what is pinned, where it is the field or is special
	flags     func(red bool) []string                                          // more of them, where they are the field
	meddle    func(t *testing.T, c *cluster, ns string, dryRun []string) error // while it runs; on the twin it is a dry run
	timeout   time.Duration                                                    // of the rollout; 0: 60 s
	shows     func(*corev1.Pod) bool                                           // when a pod first shows it; its cause is told within 10 s
	serve     func(proxy http.Handler, w http.ResponseWriter, r *http.Request) // between it and the API server

	object    string // that is red, %s being the namespace; "": the first one of the manifest
	container string // that the verdict names; "": none
	code      string
	says      []string // of the cause, the cure, and the last words
	at        string   // what stands on the line of the manifest that the verdict names
	greenCode string   // "": proven
	green     []string // what is said of the twin
}

// first is the first object of the manifest, as verdicts name it.
func (s scenario) first(ns string) string { return s.kind() + " " + ns + "/web" }

// kind is that of the first object.
func (s scenario) kind() string {
	_, kind, _ := strings.Cut(s.manifest(), "kind: ")
	kind, _, _ = strings.Cut(kind, "\n")
	return kind
}

// manifest is that of the twin, before it is edited.
func (s scenario) manifest() string {
	switch {
	case s.all != "":
		return s.all
	case s.real:
		return oneWeb
	}
	return fakeWeb
}

// filled puts into a manifest what is known only now.
func filled(t *testing.T, text, ns, image string) string {
	if strings.Contains(text, "OTHER") {
		text = strings.ReplaceAll(text, "OTHER", otherImage(t))
	}
	return strings.NewReplacer("NAMESPACE", ns, "PINNED", image).Replace(text)
}

// TestScenarios rolls out what each rule is about, and what looks almost like it. All of them run at
// the same time: each is started in turn, and waited for when all have been started.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios() {
		t.Run(s.rule+": "+s.name, func(t *testing.T) {
			well, spoilt := s.start(t, false), s.start(t, true)
			t.Parallel()
			t.Run("green", func(t *testing.T) { s.isGreen(t, well) })
			t.Run("red", func(t *testing.T) { s.isRed(t, spoilt) })
		})
	}
}

// A staging is a scenario that has been started.
type staging struct {
	ns, dir, text string
	session       *session
	shown         <-chan time.Time
}

func (s scenario) start(t *testing.T, red bool) staging {
	t.Helper()
	c := kwok(t)
	if s.real {
		c = kubelet(t)
	}
	st := staging{ns: c.namespace(t)}
	if s.prepare != nil {
		s.prepare(t, c, st.ns)
	}
	image := pinnedFake
	if s.real {
		image = pinnedReal(t)
	}
	if s.image != nil {
		image = s.image(t, red)
	}
	text := s.manifest()
	for _, e := range s.both {
		text = e.apply(t, text)
	}
	if len(s.before) > 0 {
		earlier, code := text, 0
		for _, e := range s.before {
			earlier = e.apply(t, earlier)
		}
		if red {
			earlier, code = s.redBefore.apply(t, earlier), s.after
		}
		s.deploy(t, c, st.ns, webTree(filled(t, earlier, st.ns, image)).write(t), image, false).run(t).want(t, code)
	}
	if s.between != nil {
		s.between(t, c, st.ns)
	}
	if red {
		text = s.red.apply(t, text)
	}
	st.text = filled(t, text, st.ns, image)
	st.dir = webTree(st.text).write(t)
	if red && s.shows != nil {
		st.shown = c.firstPod(t, st.ns, s.shows)
	}
	through := c
	if s.serve != nil {
		through = c.behind(t, s.serve)
	}
	st.session = s.deploy(t, through, st.ns, st.dir, image, red).start(t, nil)
	if s.meddle != nil {
		st.session.says(s.first(st.ns) + "  created")
		var dryRun []string
		if !red {
			dryRun = []string{metav1.DryRunAll}
		}
		if err := s.meddle(t, c, st.ns, dryRun); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func (s scenario) deploy(t *testing.T, c *cluster, ns, dir, image string, red bool) call {
	t.Helper()
	it := deployWeb(c, dir, ns, image)
	timeout := s.timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	it.Args = append(it.Args[:len(it.Args)-1], timeout.String(), "--name", "web")
	if s.flags != nil {
		it.Args = append(it.Args, s.flags(red)...)
	}
	return it
}

func (s scenario) isGreen(t *testing.T, st staging) {
	t.Helper()
	st.session.t = t
	got := st.session.end(2*time.Minute).want(t, 0)
	v := verdict(t, st.dir, s.first(st.ns))
	want := s.greenCode
	if want == "" {
		want = "proven"
	}
	if v.Code != want || strings.Contains(v.Text, "container ") {
		t.Errorf("the verdict is %s: %s, want %s and no container", v.Code, v.Text, want)
	}
	got.says(t, append(s.green, v.Text)...)
}

func (s scenario) isRed(t *testing.T, st staging) {
	t.Helper()
	st.session.t = t
	got := st.session.end(3*time.Minute).want(t, 7)
	object := s.first(st.ns)
	if s.object != "" {
		object = fmt.Sprintf(s.object, st.ns)
	}
	v := verdict(t, st.dir, object)
	if v.Code != s.code {
		t.Errorf("the verdict is %s: %s, want %s", v.Code, v.Text, s.code)
	}
	_, where, named := strings.Cut(v.Text, "  container ")
	if where, _, _ = strings.Cut(where, ":"); where != s.container || named != (s.container != "") {
		t.Errorf("it is about container %q, want %q: %s", where, s.container, v.Text)
	}
	got.says(t, append(s.says, v.Text)...)
	if s.at != "" {
		before, _, _ := strings.Cut(st.text, s.at)
		if line := 1 + strings.Count(before, "\n"); !strings.HasSuffix(v.File, "web/web.yaml") || v.Line != line {
			t.Errorf("the verdict is at %s:%d, want web/web.yaml:%d", v.File, v.Line, line)
		}
	}
	if st.shown == nil {
		return
	}
	first, seen := <-st.shown
	told := v.Time
	for _, ev := range journal(t, st.dir) {
		if ev.Time.Before(told) && strings.Contains(ev.Task+ev.Text, object) && strings.Contains(ev.Text, s.says[0]) {
			told = ev.Time // it need not be certain yet
		}
	}
	// Ten seconds are the aim, which a busy machine misses; what waits for a deadline takes a minute.
	if late := told.Sub(first); !seen || late > 30*time.Second {
		t.Errorf("the cause was told %s after a pod showed it (seen: %t), want less than 30s", late, seen)
	}
}

// inFirstContainer is a condition of a pod's first container.
func inFirstContainer(is func(corev1.ContainerStatus) bool) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) > 0 && is(pod.Status.ContainerStatuses[0])
	}
}

// waitsFor is a pod whose first container waits for one of reasons.
func waitsFor(reasons ...string) func(*corev1.Pod) bool {
	return inFirstContainer(func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && slices.Contains(reasons, s.State.Waiting.Reason)
	})
}

// endedWith is a pod whose first container ended for a reason.
func endedWith(reason string) func(*corev1.Pod) bool {
	return inFirstContainer(func(s corev1.ContainerStatus) bool {
		now, before := s.State.Terminated, s.LastTerminationState.Terminated
		return now != nil && now.Reason == reason || before != nil && before.Reason == reason
	})
}

func hasFailed(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed }

// hasNoNode is a pod that the scheduler has looked at in vain.
func hasNoNode(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable
	})
}

// firstPod watches pods until one of them is as wanted, and sends when that was.
func (c *cluster) firstPod(t *testing.T, ns string, is func(*corev1.Pod) bool) <-chan time.Time {
	t.Helper()
	w, err := c.client.CoreV1().Pods(ns).Watch(context.WithoutCancel(t.Context()), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	first := make(chan time.Time, 1)
	go func(events <-chan watch.Event) {
		defer close(first)
		for ev := range events {
			if pod, ok := ev.Object.(*corev1.Pod); ok && is(pod) {
				first <- time.Now()
				return
			}
		}
	}(w.ResultChan())
	return first
}

// rulesSource is where the table of verdicts is.
const rulesSource = "../deploy/rollout/rules.go"

// TestEveryRuleHasAScenario reads the table of verdicts, and that of kinds, in the source.
func TestEveryRuleHasAScenario(t *testing.T) {
	t.Parallel()
	rules, kinds := map[string]bool{}, map[string]bool{}
	for _, s := range scenarios() {
		if s.red == (edit{}) && s.redBefore == (edit{}) && s.image == nil && s.flags == nil && s.meddle == nil {
			t.Errorf("%s: %s: nothing makes it red", s.rule, s.name)
		}
		rules[s.rule], kinds[s.kind()] = true, true
	}
	for _, rule := range literalsIn(t, rulesSource, "rules") {
		if !rules[rule] {
			t.Errorf("rule %q has no scenario", rule)
		}
		delete(rules, rule)
	}
	for rule := range rules {
		if !strings.HasPrefix(rule, "wait ") {
			t.Errorf("there is no rule %q, only scenarios of it", rule)
		}
	}
	for _, kind := range literalsIn(t, "../deploy/rollout/kinds.go", "kinds") {
		if !kinds[kind] {
			t.Errorf("kind %s has no scenario, only %q", kind, slices.Sorted(maps.Keys(kinds)))
		}
	}
}

// literalsIn returns the first string of each row of the table that a function returns.
func literalsIn(t *testing.T, file, function string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != function {
			continue
		}
		table := fn.Body.List[0].(*ast.ReturnStmt).Results[0].(*ast.CompositeLit)
		for _, row := range table.Elts {
			var first ast.Expr
			switch row := row.(type) {
			case *ast.CompositeLit:
				first = row.Elts[0]
			case *ast.KeyValueExpr:
				first = row.Key
			}
			text, err := strconv.Unquote(first.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, text)
		}
	}
	if len(found) < 5 {
		t.Fatalf("%s: %s has %d rows: this test would prove nothing", file, function, len(found))
	}
	return found
}
