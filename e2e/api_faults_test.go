package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
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

// apiFaults are what can go wrong with a request. Times is how often; 0: always.
var apiFaults = []struct {
	name  string
	times int
	do    func(w http.ResponseWriter)
}{
	{"500 once", 1, status(500, "InternalError", "etcdserver: leader changed", "")},
	{"429 once", 1, status(429, "TooManyRequests", "too many requests", "1")},
	{"410 once", 1, status(410, "Expired", "too old resource version", "")},
	{"cut once", 1, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	{"403", 0, status(403, "Forbidden", `deployments.apps is forbidden: User "ci" cannot do this`, "")},
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
	"500/lease": 6, "500/remember": 6, "cut/lease": 6, "cut/remember": 6, // what is created may be there
	"410/identify": 6, "410/list": 6, "410/dry-run": 6, "410/lease": 6, "410/remember": 6, "410/apply": 6, "410/prune": 6, "410/conclude": 6,
	"403/identify": 6, "403/list": 6, "403/dry-run": 6, "403/lease": 6, "403/remember": 6, "403/apply": 6, "403/wait": 6, "403/prune": 6, "403/conclude": 6,
}

// TestAPIFaults lets each fault happen in each phase of a deploy: it ends as it should, and says what
// it was doing where it fails; the next run, without the fault, comes to the same end.
func TestAPIFaults(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	for _, fault := range apiFaults {
		for _, phase := range phases {
			t.Run(fault.name+" "+phase.name, func(t *testing.T) {
				t.Parallel()
				ns := c.namespace(t)
				first, second := release(t, 1, "", "before"), release(t, 2, "", "after")
				deployRelease(c, first, ns, 1).run(t).want(t, 0)

				var mu sync.Mutex
				fired := 0
				through := c.behind(t, func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					fire := phase.is(r) && (fault.times == 0 || fired < fault.times)
					if fire {
						fired++
					}
					mu.Unlock()
					if fire {
						fault.do(w)
						return
					}
					proxy.ServeHTTP(w, r)
				})
				got := deployRelease(through, second, ns, 2).run(t)
				mu.Lock()
				if fired == 0 {
					t.Error("the fault did not happen")
				}
				mu.Unlock()
				name, _, _ := strings.Cut(fault.name, " once")
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
