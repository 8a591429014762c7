package page_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/page"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// hostile is text that tries to be more than text, on a page, in Markdown, in a
// diagram.
const hostile = `<script>document.title="owned"</script><img src=x onerror="document.title='owned'"></pre></style>{{.}} [a](javascript:alert(1)) ![i](http://127.0.0.1:1/x) @everyone |` + " ``` `x` \x1b[2J\u202e"

// failed returns the report of a run whose rollout failed and whose every text is hostile.
func failed() *page.Report {
	plan := &pipeline.Plan{Pipeline: "shop", Environment: "staging", Steps: []pipeline.Step{
		{ID: "api", Kind: "build", Action: pipeline.Action{Notes: []string{hostile}, Effects: []pipeline.Effect{{Verb: "build", Object: "api/Dockerfile"}, {Verb: "push", Object: "localhost:5000/shop/api"}}}},
		{ID: "web[" + hostile + "]", Kind: "build", Action: pipeline.Action{Skip: hostile}},
		{ID: "rollout", Kind: "deploy", After: []pipeline.ID{"api", "web"}, Action: pipeline.Action{Effects: []pipeline.Effect{
			{Verb: "configure", Object: "Deployment/api", Detail: hostile, Diff: "-image: a\n+image: b\n" + hostile + "\n```\n</details>"},
		}}},
		{ID: "smoke", Kind: "verify", After: []pipeline.ID{"rollout"}},
	}}
	began := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	r := page.Planned(plan)
	r.ID, r.Commit, r.Dirty, r.Started = "20260314-150926-abcdef", "0123456789abcdef0123456789abcdef01234567", true, began
	sink := report.Mask(r.Event)
	at := began
	say := func(ev pipeline.Event, took time.Duration) {
		at = at.Add(took)
		ev.Time = at
		sink(ev)
	}
	say(pipeline.Event{Type: pipeline.EventStart, Step: "api"}, 0)
	for _, name := range []string{"[1/3] FROM alpine", "[2/3] RUN make", "[3/3] COPY . . " + hostile} {
		say(pipeline.Event{Type: pipeline.EventTask, Step: "api", Task: name}, time.Second)
		say(pipeline.Event{Type: pipeline.EventLog, Step: "api", Task: name, Text: hostile}, time.Second)
		say(pipeline.Event{Type: pipeline.EventTask, Step: "api", Task: name, Status: pipeline.StatusOK, Elapsed: 3 * time.Second}, 2*time.Second)
	}
	say(pipeline.Event{Type: pipeline.EventWarning, Step: "api", File: "api/Dockerfile", Line: 3, Text: hostile}, 0)
	say(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusOK, Elapsed: 12 * time.Second}, 0)
	say(pipeline.Event{Type: pipeline.EventStart, Step: "rollout"}, 0)
	say(pipeline.Event{Type: pipeline.EventVerdict, Step: "rollout", Task: "shop/Deployment/web", Status: pipeline.StatusOK, Code: "proven", Text: "web  proven  2/2 pods run sha256:679e56fb"}, time.Second)
	say(pipeline.Event{Type: pipeline.EventVerdict, Step: "rollout", Task: "shop/Deployment/api", Status: pipeline.StatusFailed, Code: "crash-loop", File: "deploy/base/api.yaml", Line: 18, Text: "api  crash-loop  0/3 pods  container api: " + hostile}, time.Second)
	say(pipeline.Event{Type: pipeline.EventFinish, Step: "rollout", Status: pipeline.StatusFailed, Elapsed: 5 * time.Second}, 3*time.Second)
	var list pipeline.ErrorList
	list.Add(pipeline.Pos{File: "deploy/base/api.yaml", Line: 18, Col: 1}, "rollout", "crash-loop", errors.New("Deployment api in shop, container api: crash-loop: exited with code 1, 4 times (read its last words; a missing setting is the usual cause)\n| listening on :8080\n| panic: DATABASE_URL is not set\n| "+hostile))
	list.Add(pipeline.Pos{File: hostile, Line: 1, Col: 1}, "rollout", hostile, errors.New(hostile))
	r.Finish(&pipeline.Release{Started: began, Finished: began.Add(18 * time.Second), Status: pipeline.StatusFailed, Outputs: map[string]any{"url": "javascript:" + hostile}, Steps: []pipeline.ReleaseStep{
		{ID: "api", Status: pipeline.StatusOK, Outputs: map[string]any{"image": pipeline.ImageRef{Digest: "sha256:" + strings.Repeat("9a2d", 16), Repository: "localhost:5000/shop/api", Tags: []string{"main"}}}},
		{ID: "rollout", Status: pipeline.StatusFailed},
		{ID: "smoke", Status: pipeline.StatusSkipped},
	}}, list.Err())
	r.Step("api").Platforms = []page.Platform{
		{Platform: "linux/amd64", Digest: "sha256:" + strings.Repeat("ab", 32), Size: 31 << 20, Layers: []page.Layer{
			{Digest: "sha256:" + strings.Repeat("01", 32), Size: 30 << 20, By: "RUN make " + strings.Repeat("x", 300)},
			{Digest: "sha256:" + strings.Repeat("02", 32), Size: 1 << 20, By: hostile},
		}},
		{Platform: "linux/arm64", Digest: "sha256:" + strings.Repeat("cd", 32), Size: 29 << 20},
	}
	return r
}

func logs(s page.Step) page.Log {
	if s.Lines == 0 {
		return page.Log{}
	}
	return page.Log{Text: []byte(strings.Repeat("compiling\n", 50) + report.Tame(hostile) + "\nneedle\n"), Before: 4711}
}

func TestCauses(t *testing.T) {
	c := failed().Causes[0]
	if c.Stage != "rollout" || c.Code != "crash-loop" || c.File != "deploy/base/api.yaml" || c.Line != 18 || len(c.Log) != 3 ||
		!strings.HasSuffix(c.Text, "exited with code 1, 4 times") || c.Cure != "read its last words; a missing setting is the usual cause" {
		t.Errorf("got %+v", c)
	}
}

// TestFirstLast checks the order for a terminal: what failed first comes last,
// wherever it stands in the file.
func TestFirstLast(t *testing.T) {
	r := page.Planned(&pipeline.Plan{Pipeline: "shop", Steps: []pipeline.Step{{ID: "api"}, {ID: "web"}}})
	at := time.Unix(1000, 0)
	for _, id := range []pipeline.ID{"api", "web"} {
		r.Event(pipeline.Event{Type: pipeline.EventStart, Step: id, Time: at})
	}
	r.Event(pipeline.Event{Type: pipeline.EventFinish, Step: "web", Status: pipeline.StatusFailed, Elapsed: time.Second})
	r.Event(pipeline.Event{Type: pipeline.EventFinish, Step: "api", Status: pipeline.StatusFailed, Elapsed: time.Minute})
	var list pipeline.ErrorList
	list.Add(pipeline.Pos{Line: 9}, "web", "failed", errors.New("first"))
	list.Add(pipeline.Pos{Line: 1}, "api", "failed", errors.New("second"))
	err := fmt.Errorf("run: %w", list.Err())
	r.FirstLast(err)
	if got, want := list.Error(), "stage web: first"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	r.FirstLast(nil)
}

// TestHTML checks the page without a browser: what is not ours is text.
func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := page.HTML(&b, logs, failed()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if n := strings.Count(text, "<script"); n != 1 {
		t.Errorf("%d scripts, want our own", n)
	}
	for _, no := range []string{"<img", "onerror=\"doc", "href=", "src=\"", "style=\"", "\x1b", "\u202e"} {
		if strings.Contains(text, no) {
			t.Errorf("the page has %q", no)
		}
	}
	if !strings.Contains(text, "… 4711 bytes before this are in ") {
		t.Error("a log that is not whole does not say so")
	}
	if i, j := strings.Index(text, "What mends it"), strings.Index(text, "Timeline"); i < 0 || i > j {
		t.Error("cause and cure don't come first")
	}
}

// harness shows the page at two widths, light and dark, with all of it open, and
// writes what does not fit, and what cannot be read, into its own title. Words that
// are less than 4.5 times as bright or dark as what is behind them are hard to read.
//
// See https://www.w3.org/TR/WCAG22/#contrast-minimum.
const harness = `<!doctype html><title></title><script>
const light = c => { const v = c.map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
const colour = s => s.match(/[\d.]+/g).map(Number);
let left = 4;
for (const width of [1280, 390]) for (const scheme of ["light", "dark"]) {
  const frame = document.createElement("iframe");
  frame.style = "border:0;height:844px;width:" + width + "px;color-scheme:" + scheme;
  frame.src = "report.html";
  frame.onload = () => {
    const d = frame.contentDocument, w = frame.contentWindow, at = width + " " + scheme + ": ";
    const found = [];
    if (d.title !== "shop in staging failed at rollout" || d.images.length || d.scripts.length !== 1) found.push("it is not what it was: " + d.title);
    if (w.matchMedia("(prefers-color-scheme: dark)").matches !== (scheme === "dark")) found.push("it is not " + scheme);
    for (const e of d.querySelectorAll("details")) e.open = true;
    if (d.documentElement.scrollWidth > width) found.push("it is " + d.documentElement.scrollWidth + " wide");
    for (const e of d.body.querySelectorAll("*")) {
      const box = e.getBoundingClientRect();
      if (box.right > width + 1 && !e.closest(".wide, svg, script")) found.push(e.tagName + "." + e.className + " ends at " + box.right);
      if (!e.checkVisibility() || e.closest("svg, script") || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
      let behind = e;
      while (behind && colour(w.getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
      const a = light(colour(w.getComputedStyle(e).color)), b = light(colour(w.getComputedStyle(behind || d.body).backgroundColor));
      const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      if (contrast < 4.5) found.push(e.tagName + "." + e.className + " has a contrast of " + contrast.toFixed(1));
    }
    document.title += [...new Set(found)].map(f => at + f + "; ").join("") + (--left ? "" : "looked at all");
  };
  document.body ? document.body.append(frame) : document.documentElement.append(frame);
}
</script>`

// TestBrowser opens the page in Chromium, at two widths, light and dark, which
// says what its console has (refused scripts, faults of ours) and what the harness finds.
func TestBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed (make deps installs it)")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	if err := errors.Join(page.HTML(&b, logs, failed()), os.WriteFile(filepath.Join(dir, "report.html"), b.Bytes(), 0o644), os.WriteFile(filepath.Join(dir, "harness.html"), []byte(harness), 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr",
		"--allow-file-access-from-files", "--disable-web-security", // the harness may look into the page, as no other may
		"--virtual-time-budget=10000", "--dump-dom", "file://"+filepath.Join(dir, "harness.html"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	for l := range strings.Lines(stderr.String()) {
		if strings.Contains(l, "CONSOLE") {
			t.Error(l)
		}
	}
	_, title, _ := strings.Cut(string(dom), "<title>")
	if title, _, _ = strings.Cut(title, "</title>"); title != "looked at all" {
		t.Errorf("the page:\n%s", strings.ReplaceAll(title, "; ", "\n"))
	}
}

// TestMarkdown checks that text means nothing there, and that it is bounded.
func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := page.Markdown(&b, 0, failed()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	outside := regexp.MustCompile("(?s)\n````diff\n.*?\n````\n|\n```mermaid\n.*?\n```\n").ReplaceAllString(text, "")
	for _, no := range []string{"<script", "<img", "](", "@everyone", "\x1b", "```"} {
		if strings.Contains(outside, no) {
			t.Errorf("%q means something in\n%s", no, outside)
		}
	}
	if strings.Count(text, "</details>") < 3 || !strings.Contains(text, "What mends it") {
		t.Errorf("got %s", text)
	}
	r := failed()
	for len(r.Steps) < 20000 {
		r.Steps = append(r.Steps, r.Steps[2])
	}
	b.Reset()
	if err := page.Markdown(&b, 10000, r); err != nil || b.Len() > 10000 || !strings.Contains(b.String(), "does not fit") || !strings.Contains(b.String(), "What mends it") {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := page.JUnit(&b, failed()); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Type string `xml:"type,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 6 || suite.Failures != 2 || suite.Skipped != 2 || suite.Cases[2].Failure.Type != "crash-loop" {
		t.Errorf("got %+v", suite)
	}
}

// TestRead checks that a report comes back from JSON as it was.
func TestRead(t *testing.T) {
	var first, second bytes.Buffer
	if err := page.JSON(&first, failed()); err != nil {
		t.Fatal(err)
	}
	r, err := page.Read(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := page.JSON(&second, r); err != nil || first.String() != second.String() {
		t.Errorf("%v: it changed", err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"version": 99, "pipeline": "x"}`} {
		if _, err := page.Read([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if err := page.Text(io.Discard, r); err != nil {
		t.Error(err)
	}
}
