package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// phases are the parts of a deploy, each by one request that it makes of the API server.
var phases = []struct {
	name string
	is   func(r *http.Request) bool
}{
	{"identify", func(r *http.Request) bool {
		return r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/namespaces/kube-system")
	}},
	{"list", func(r *http.Request) bool {
		return r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/deployments") && !r.URL.Query().Has("watch")
	}},
	{"dry-run", func(r *http.Request) bool { return r.Method == "PATCH" && r.URL.Query().Has("dryRun") }},
	{"lease", func(r *http.Request) bool { return r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/leases") }},
	{"remember", func(r *http.Request) bool { return r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/secrets") }},
	{"apply", func(r *http.Request) bool {
		return r.Method == "PATCH" && strings.Contains(r.URL.Path, "/deployments/") && !r.URL.Query().Has("dryRun")
	}},
	{"wait", func(r *http.Request) bool {
		return r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/pods") && r.URL.Query().Has("watch")
	}},
	{"prune", func(r *http.Request) bool {
		return r.Method == "DELETE" && strings.Contains(r.URL.Path, "/configmaps/")
	}},
	{"conclude", func(r *http.Request) bool { return r.Method == "PUT" && strings.Contains(r.URL.Path, "/secrets/") }},
}

// A fault is what can go wrong with a request. When says whether it does, of the nth request of a phase;
// the first one was since ago. Everywhere: it also meets requests of other phases, since then.
type apiFault struct {
	name       string
	when       func(n int, since time.Duration) bool
	everywhere bool
	do         func(proxy http.Handler, w http.ResponseWriter, r *http.Request)
}

func once(n int, _ time.Duration) bool                     { return n == 1 }
func always(int, time.Duration) bool                       { return true }
func cut(http.Handler, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func apiFaults() []apiFault {
	return []apiFault{
		{name: "500 once", when: once, do: says(500, "InternalError", "etcdserver: leader changed", "")},
		{name: "429 once", when: once, do: says(429, "TooManyRequests", "too many requests", "1")},
		{name: "410 once", when: once, do: says(410, "Expired", "too old resource version", "")},
		{name: "cut once", when: once, do: cut},
		{name: "away 5 s", when: func(_ int, since time.Duration) bool { return since < 5*time.Second }, everywhere: true, do: cut},
		{name: "slow once", when: once, do: func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(1500 * time.Millisecond):
				proxy.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		}},
		{name: "silent", when: always, do: func(_ http.Handler, _ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // until then nobody notices that the client is gone
			<-r.Context().Done()
		}},
		{name: "cut in its answer once", when: once, do: func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
			proxy.ServeHTTP(&cutter{ResponseWriter: w, left: 20}, r)
		}},
		{name: "403", when: always, do: says(403, "Forbidden", `deployments.apps is forbidden: User "ci" cannot do this`, "")},
	}
}

// cutter is an answer that ends in its middle.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	c.Flush()
	panic(http.ErrAbortHandler)
}

// Flush implements [http.Flusher].
func (c *cutter) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// says answers by itself.
func says(code int, why, message, after string) func(http.Handler, http.ResponseWriter, *http.Request) {
	answer := status(code, why, message, after)
	return func(_ http.Handler, w http.ResponseWriter, _ *http.Request) { answer(w) }
}

// status answers as an API server does.
func status(code int, why, message, after string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": %q, "message": %q, "code": %d}`, why, message, code)
	}
}

// outcomes says how a run ends that meets a fault in a phase. What is not there ends green: it was
// asked again, or did not matter.
var outcomes = map[string]int{
	"410/identify": 6, "410/list": 6, "410/dry-run": 6, "410/lease": 6, "410/remember": 6, "410/apply": 6, "410/prune": 6, "410/conclude": 6,
	"silent/identify": 6, "silent/list": 6, "silent/dry-run": 6, "silent/lease": 6, "silent/remember": 6, "silent/apply": 6, "silent/wait": 6, "silent/prune": 6, "silent/conclude": 6,
	"403/identify": 6, "403/list": 6, "403/dry-run": 6, "403/lease": 6, "403/remember": 6, "403/apply": 6, "403/wait": 6, "403/prune": 6, "403/conclude": 6,
}

// TestAPIFaults lets each fault happen in each phase of a deploy: it ends as it should, and says what
// it was doing where it fails; the next run, without the fault, comes to the same end.
func TestAPIFaults(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	for _, fault := range apiFaults() {
		for _, phase := range phases {
			t.Run(fault.name+" "+phase.name, func(t *testing.T) {
				t.Parallel()
				ns := c.namespace(t)
				first, second := release(t, 1, "", "before"), release(t, 2, "", "after")
				deployRelease(c, first, ns, 1).run(t).want(t, 0)

				var mu sync.Mutex
				met, fired := 0, 0
				var since time.Time
				through := c.behind(t, func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					of := phase.is(r)
					if of {
						if met++; met == 1 {
							since = time.Now()
						}
					}
					fire := (of || fault.everywhere && met > 0) && fault.when(met, time.Since(since))
					if fire {
						fired++
					}
					mu.Unlock()
					if fire {
						fault.do(proxy, w, r)
						return
					}
					proxy.ServeHTTP(w, r)
				})
				run := deployRelease(through, second, ns, 2)
				if fault.name == "silent" {
					run.Args = append(run.Args, "--request-timeout", "2s")
				}
				got := run.run(t)
				mu.Lock()
				if fired == 0 {
					t.Error("the fault did not happen")
				}
				mu.Unlock()
				name := strings.TrimSuffix(fault.name, " once")
				if want := outcomes[name+"/"+phase.name]; got.Code != want {
					t.Errorf("exit code %d, want %d\n%s%s", got.Code, want, got.Stdout, got.Stderr)
				}
				deployRelease(c, second, ns, 2).run(t).want(t, 0).says(t, "web  proven  2/2")
				state := c.state(t, ns)
				if state["ConfigMap before"] != "" || state["ConfigMap after"] == "" || !strings.HasPrefix(state["Secret slipway.deploy.web.v2"], "2 proven") || len(state) == 0 {
					t.Errorf("it did not come to the same end: %q", state)
				}
				for name := range state {
					if strings.HasPrefix(name, "Lease") {
						t.Errorf("%s", name)
					}
				}
			})
		}
	}
}
