package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// A vigil is one Wait: what is known so far of each workload. Only the
// goroutine of Wait touches it.
type vigil struct {
	set     deploy.Set
	watch   func(deploy.Status)
	linger  time.Duration
	timeout time.Duration
	errands *errands

	tracks   []*track
	answers  map[question]answer
	exact    bool
	end      time.Time // when time is up; zero: never
	lastCall time.Time // when nothing is waited for after a failure; zero: none failed
	closed   bool      // all is decided; only last words may still come
}

// A track is one workload on its way.
type track struct {
	workload
	verdict deploy.Verdict // its Code is empty while nothing is certain
	final   bool           // red, or closed: it is not judged again
	fell    time.Time      // when it turned red
	rank    int            // of the rule that turned it
	message string
	next    time.Time
	since   map[string]time.Time
}

// keep judges at every change, and whenever a patience runs out, until all is decided.
func (v *vigil) keep(ctx context.Context, st *store) error {
	if v.timeout > 0 {
		v.end = time.Now().Add(v.timeout)
	}
	timer := time.NewTimer(forEver)
	defer timer.Stop()
	for {
		now := time.Now()
		s, err := st.snapshot(now)
		if err != nil {
			return err
		}
		up := v.isUp(now)
		switch {
		case v.closed:
		case s != nil:
			v.judgeAll(ctx, now, s, up)
		case up:
			return st.unfilled()
		}
		if v.closed && v.errands.pending == 0 {
			return v.failure()
		}
		if next := sooner(v.next(), st.next()); !next.IsZero() {
			timer.Reset(next.Sub(now))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-st.changed:
		case <-timer.C:
		case deliver := <-v.errands.done:
			deliver()
		}
	}
}

func (v *vigil) isUp(now time.Time) bool { return !v.end.IsZero() && !now.Before(v.end) }

// next returns when to judge again although nothing changed.
func (v *vigil) next() time.Time {
	if v.closed {
		return time.Time{}
	}
	next := sooner(v.end, v.lastCall)
	for _, t := range v.tracks {
		next = sooner(next, t.next)
	}
	return next
}

// judgeAll judges what is waited for and, when that is decided, all else.
func (v *vigil) judgeAll(ctx context.Context, now time.Time, s *snapshot, up bool) {
	s.answers, s.exact, s.timeUp = v.answers, v.exact, up
	open, firstRed := false, ""
	for _, t := range v.tracks {
		if t.waited() && !t.final {
			v.judgeOne(ctx, now, t, s)
		}
		if t.waited() && t.verdict.Code == "" {
			open = true
		}
		if t.verdict.Failed() && firstRed == "" {
			firstRed = t.verdict.Object
		}
	}
	if firstRed != "" && v.lastCall.IsZero() {
		v.lastCall = now.Add(v.linger)
	}
	if open && (v.lastCall.IsZero() || now.Before(v.lastCall)) {
		return
	}
	v.closed = true
	s.timeUp = true
	for _, t := range v.tracks {
		if !t.waited() {
			v.judgeOne(ctx, now, t, s)
		}
		if t.waited() && t.verdict.Code == "" {
			t.verdict.Code, t.verdict.Cause = deploy.Waiting, fmt.Sprintf("%s; not waited for after %s failed", t.message, firstRed)
		}
		t.final = true
	}
}

// judgeOne judges t, says so if that brought news, and sends for what the
// verdict still lacks.
func (v *vigil) judgeOne(ctx context.Context, now time.Time, t *track, s *snapshot) {
	s.since = t.since
	o := judge(now, t.workload, s, rules())
	if t.ended() && o.verdict.Code == deploy.Overwritten {
		return // a Job that is proven may be cleaned up
	}
	t.verdict, t.next, t.rank = o.verdict, o.next, o.rank
	since := map[string]time.Time{}
	for _, symptom := range o.symptoms {
		since[symptom] = now
		if first, known := t.since[symptom]; known {
			since[symptom] = first
		}
	}
	t.since = since
	for _, q := range o.open {
		v.errands.ask(ctx, q, func(a answer) { v.answers[q] = a })
	}
	message := o.message
	switch code := t.verdict.Code; {
	case code == "":
	case code.OK():
		message += ", " + string(code)
	default:
		message = string(code) + ": " + t.verdict.Cause
		t.final, t.fell = true, now
		if o.died != nil {
			v.errands.lastWords(ctx, *o.died, func(lines []string) { t.verdict.Log = lines })
		}
	}
	if message != t.message && t.waited() {
		v.watch(deploy.Status{Object: t.verdict.Object, Message: message})
	}
	t.message = message
}

// ended reports whether t is a Job that was found well and has nothing left to do.
func (t *track) ended() bool {
	return t.verdict.Code.OK() && t.object.Kind() == "Job"
}
