package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Prober asks an HTTP server once, from here. It changes nothing here; what
// the server makes of the request is its own. It is asked again after an error.
type Prober interface {
	Ask(ctx context.Context, r deploy.Request) (deploy.Answer, error)
}

// A Proxy asks a Service from inside of the cluster, once. Its error is a
// [deploy.ClusterError] when the cluster does not let us.
type Proxy interface {
	Ask(ctx context.Context, namespace string, r deploy.Request) (deploy.Answer, error)
}

// A VerifyError says that what runs does not do what it should.
type VerifyError struct {
	Want string
	Err  error // what came instead
}

func (e *VerifyError) Error() string { return fmt.Sprintf("want %s: %v", e.Want, e.Err) }
func (e *VerifyError) Unwrap() error { return e.Err }

// Verify is the kind "verify": does what runs do what it should? It changes
// nothing, and runs every time.
type Verify struct {
	HTTP *HTTP `yaml:"http" doc:"A request, and what has to be answered."`
	Exec *Exec `yaml:"exec" doc:"A command, as of the kind exec: it has to end with 0."`

	tools Tools
}

// HTTP is a request, and what has to be answered.
type HTTP struct {
	URL     pipeline.Value            `yaml:"url,required,short" doc:"Where to ask: http or https. With in: cluster, a Service: http://NAME[.NAMESPACE][:PORT]."`
	Method  string                    `yaml:"method" doc:"Default: GET."`
	Headers map[string]pipeline.Value `yaml:"headers,secret" doc:"Headers of the request. Secrets may stand here; with headers, redirects to other hosts are not followed."`
	Status  int                       `yaml:"status" doc:"The status that is wanted. Default: 200."`
	Header  map[string]string         `yaml:"header" doc:"What headers of the answer have to contain, by name."`
	Body    *Body                     `yaml:"body" doc:"What the body of the answer has to be like."`
	Within  time.Duration             `yaml:"within" doc:"How long to go on asking until the answer is right. Default: 30s."`
	In      string                    `yaml:"in" enum:"here,cluster" doc:"From where to ask: here, or in the cluster, through the API server. Default: here."`
}

// Body is what a body has to be like.
type Body struct {
	Contains string `yaml:"contains,short" doc:"A text that it has."`
	Regex    string `yaml:"regex" doc:"A regular expression (RE2) that some of it matches."`
}

// defaultWithin is how long a verify asks when nothing is said.
const defaultWithin = 30 * time.Second

// longestAsk is the most that is waited before the next question.
const longestAsk = 5 * time.Second

// NewVerify returns an empty Verify with the tools it needs.
func NewVerify(t Tools) *Verify { return &Verify{tools: t} }

// Check implements [pipeline.Checker].
func (v *Verify) Check() []error {
	var errs []error
	fail := func(field, code, format string, args ...any) {
		errs = append(errs, &pipeline.FieldError{Field: field, Code: code, Err: fmt.Errorf(format, args...)})
	}
	switch {
	case v.HTTP == nil && v.Exec == nil:
		fail("", "missing-key", "verify needs http: or exec:")
	case v.HTTP != nil && v.Exec != nil:
		fail("exec", "two-commands", "http is set, too (want one of them; make the other a stage of its own)")
	case v.Exec != nil:
		for _, err := range v.Exec.Check() {
			var f *pipeline.FieldError
			if errors.As(err, &f) {
				f.Field = "exec." + f.Field
			}
			errs = append(errs, err)
		}
	default:
		h := v.HTTP
		places := []string{"", "here", inCluster}
		if !written(h.In) && !slices.Contains(places, h.In) {
			fail("http.in", "bad-value", "in is neither here nor cluster%s", pipeline.Nearest(h.In, places[1:]))
		}
		if h.Status != 0 && (h.Status < 100 || h.Status > 599) {
			fail("http.status", "bad-value", "%d is no status (want one such as 200)", h.Status)
		}
		if h.Body != nil && !written(h.Body.Regex) {
			if _, err := regexp.Compile(h.Body.Regex); err != nil {
				fail("http.body.regex", "bad-value", "%w", err)
			}
		}
		if h.URL.Expr() == nil {
			if _, err := h.url(pipeline.Scope{}); err != nil {
				fail("http.url", "bad-value", "%w", err)
			}
		}
		for name := range h.Headers {
			if strings.EqualFold(name, "Authorization") && h.In == inCluster {
				fail("http.headers."+name, "bad-value", "the API server keeps Authorization for itself (ask with in: here, or use another header)")
			}
		}
	}
	return errs
}

// Plan says what will be asked. There is nothing to find out beforehand.
func (v *Verify) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	if v.Exec != nil {
		return v.command(ctx, sc)
	}
	h := v.HTTP
	asked := h.shown(sc)
	act := pipeline.Action{Checks: true, Notes: []string{fmt.Sprintf("asks %s until it gets %s, for %v", asked, h.wanted(), h.within())}}
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		ask := v.tools.Prober.Ask
		if h.In == inCluster {
			namespace, err := v.tools.Cluster.Check(ctx, env.Scope.Environment.ClusterUID)
			if err != nil {
				return err
			}
			namespace = cmp.Or(env.Scope.Environment.Namespace, namespace)
			ask = func(ctx context.Context, r deploy.Request) (deploy.Answer, error) {
				return v.tools.Proxy.Ask(ctx, namespace, r)
			}
		}
		return h.verify(ctx, env, ask)
	}
	return act, nil
}

// command plans a command that has to end with 0. What did not is not broken
// itself: it says that something else is.
func (v *Verify) command(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	e := v.Exec.With(v.tools)
	act, err := e.Plan(ctx, sc)
	act.Checks = true
	if do := act.Do; do != nil {
		act.Do = func(ctx context.Context, env *pipeline.Env) error {
			err := do(ctx, env)
			var exit *buildkit.ExitError
			var job *deploy.JobError
			if errors.As(err, &exit) || errors.As(err, &job) && job.Verdict.Code == deploy.JobFailed {
				return &VerifyError{Want: "exit code 0", Err: err}
			}
			return err
		}
	}
	return act, err
}

// verify asks until the answer is right or time is up.
func (h *HTTP) verify(ctx context.Context, env *pipeline.Env, ask func(context.Context, deploy.Request) (deploy.Answer, error)) error {
	r, err := h.request(env.Scope)
	if err != nil {
		return err
	}
	shown := h.shown(env.Scope)
	limited, cancel := context.WithTimeout(ctx, h.within())
	defer cancel()
	last, answered, pause := errors.New("nothing was answered"), "", time.Second/2
	for {
		answer, err := ask(limited, r)
		var refused *deploy.ClusterError
		switch {
		case err == nil:
			if err = h.judge(answer); err == nil {
				env.Notef("%s: %d, as wanted", shown, answer.Status)
				return nil
			}
			answered = err.Error()
		case errors.As(err, &refused):
			return err
		}
		if limited.Err() == nil { // else it says no more than that time is up
			if said := fmt.Errorf("%s: %w", shown, err); said.Error() != last.Error() {
				env.Notef("not yet: %v", said)
				last = said
			}
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, longestAsk)
		case <-limited.Done():
			if !strings.HasSuffix(last.Error(), answered) { // it fell silent since
				last = fmt.Errorf("%w; before that, %s", last, answered)
			}
			if ctx.Err() == nil {
				return &VerifyError{Want: h.wanted(), Err: fmt.Errorf("after %v, %w", h.within(), last)}
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) { // the stage has a timeout of its own
				return fmt.Errorf("%w: want %s: %w", context.Cause(ctx), h.wanted(), last)
			}
			return context.Cause(ctx)
		}
	}
}

// request returns what to ask.
func (h *HTTP) request(sc pipeline.Scope) (deploy.Request, error) {
	u, err := h.url(sc)
	if err != nil {
		return deploy.Request{}, &pipeline.FieldError{Field: "http.url", Code: "bad-value", Err: err}
	}
	r := deploy.Request{Method: cmp.Or(strings.ToUpper(h.Method), http.MethodGet), URL: u.String()}
	for name, v := range h.Headers {
		text, err := v.Text(sc)
		if err != nil {
			return r, err
		}
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set(name, text)
	}
	return r, nil
}

func (h *HTTP) url(sc pipeline.Scope) (*url.URL, error) {
	text, err := h.URL.Text(sc)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("this is no URL of an HTTP server (want one such as https://shop.example/healthz)")
	}
	return u, nil
}

// shown is the request for people, without a password.
func (h *HTTP) shown(sc pipeline.Scope) string {
	where := h.URL.Show(sc)
	if u, err := url.Parse(where); err == nil && u.User != nil {
		where = u.Redacted()
	}
	if h.In == inCluster {
		where += " in the cluster"
	}
	return cmp.Or(strings.ToUpper(h.Method), http.MethodGet) + " " + where
}

func (h *HTTP) within() time.Duration { return cmp.Or(h.Within, defaultWithin) }

// wanted says what the answer has to be.
func (h *HTTP) wanted() string {
	want := []string{fmt.Sprintf("status %d", cmp.Or(h.Status, http.StatusOK))}
	for _, name := range pipeline.Keys(h.Header) {
		want = append(want, fmt.Sprintf("%s with %q", name, h.Header[name]))
	}
	if h.Body != nil && h.Body.Contains != "" {
		want = append(want, fmt.Sprintf("a body with %q", h.Body.Contains))
	}
	if h.Body != nil && h.Body.Regex != "" {
		want = append(want, fmt.Sprintf("a body like %q", h.Body.Regex))
	}
	return strings.Join(want, ", ")
}

// judge says what of an answer is wrong.
func (h *HTTP) judge(a deploy.Answer) error {
	if a.Status != cmp.Or(h.Status, http.StatusOK) {
		if to := a.Header.Get("Location"); to != "" {
			return fmt.Errorf("it answered %d, and leads to %q, which is not followed", a.Status, excerpt(to))
		}
		return fmt.Errorf("it answered %d %q", a.Status, excerpt(string(a.Body)))
	}
	for _, name := range pipeline.Keys(h.Header) {
		if got := a.Header.Get(name); !strings.Contains(got, h.Header[name]) {
			return fmt.Errorf("it answered %d with %s %q", a.Status, name, excerpt(got))
		}
	}
	if h.Body == nil {
		return nil
	}
	like, err := regexp.Compile(h.Body.Regex)
	if err != nil {
		return err
	}
	if !strings.Contains(string(a.Body), h.Body.Contains) || !like.Match(a.Body) {
		return fmt.Errorf("it answered %d %q", a.Status, excerpt(string(a.Body)))
	}
	return nil
}

// excerpt returns the beginning of a text that is not ours.
func excerpt(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
