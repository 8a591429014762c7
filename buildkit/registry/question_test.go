package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Many questions are asked some at a time, over connections that are used again. Those that
// a registry does not answer keep nobody waiting.
func TestManyQuestions(t *testing.T) {
	const many = 2*questions + 1
	var now, most, asked, dials atomic.Int32
	var hang chan struct{} // closed when no answer is kept back any more; nil: none is
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		for n, before := now.Add(1), most.Load(); n > before && !most.CompareAndSwap(before, n); before = most.Load() {
		}
		defer now.Add(-1)
		switch {
		case hang == nil:
			time.Sleep(10 * time.Millisecond) // so that those who may ask at the same time do
		case asked.Add(1) == many:
			close(hang)
		}
		if hang != nil {
			<-hang
		}
		headed(w, "sha256:"+strings.Repeat("a", 64))
	}))
	c := newClient(nil)
	c.slow = time.Hour // however busy this machine is
	c.dial = func(context.Context, string, string) error { dials.Add(1); return nil }
	resolve := func(ref string) error {
		_, err := c.Resolve(t.Context(), ref)
		return err
	}
	all := func(n int) {
		t.Helper()
		var group errgroup.Group
		for i := range n {
			group.Go(func() error { return resolve(fmt.Sprintf("%s/team/app%d:v1", w.host, i)) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	all(8 * questions)
	if most.Load() > questions || dials.Load() > 2*questions {
		t.Errorf("got %d at a time, over %d connections; want at most %d, over as many, some of which were made in vain", most.Load(), dials.Load(), questions)
	}
	c.slow = 100 * time.Millisecond
	hang = make(chan struct{})
	var silent errgroup.Group
	silent.Go(func() error { return resolve(w.host + "/team/last:v1") })
	all(many - 1) // no answer to any comes before all are asked
	if err := silent.Wait(); err != nil {
		t.Fatal(err)
	}
}
