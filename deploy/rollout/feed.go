package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// A feed is one LIST and the WATCH that follows it, of one kind in one
// namespace. It is smaller than client-go's reflector, and says what that
// keeps to itself: how each request ended.
type feed struct {
	what     string // such as "pods in shop"
	selector string // of fields
	optional bool   // to be forbidden this is no failure
	open     func(context.Context) (dynamic.ResourceInterface, error)
	typed    func() metav1.Object // nil: objects stay unstructured
}

const (
	listTimeout = 30 * time.Second
	listPage    = 500
	watchFor    = 5 * time.Minute // then the server ends it, and the next begins where it ended
	firstPause  = 250 * time.Millisecond
	longPause   = 4 * time.Second
)

// run fills sh until ctx ends, whatever becomes of the server meanwhile. When
// it returns, nothing that it began goes on.
func (f feed) run(ctx context.Context, sh *shelf, log *slog.Logger) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.once(ctx, sh)
		if ctx.Err() != nil {
			return
		}
		log.Debug("watch ended", "of", f.what, "err", err)
		if time.Since(began) > longPause {
			pause = firstPause
		}
		wait(ctx, pause)
		pause = min(2*pause, longPause)
	}
}

// once lists and then watches until a new list is needed.
func (f feed) once(ctx context.Context, sh *shelf) error {
	client, err := f.open(ctx)
	if err != nil {
		sh.fail(ctx, "look up", err)
		return err
	}
	items, version, err := f.list(ctx, client)
	if err != nil {
		sh.fail(ctx, "list", err)
		return err
	}
	sh.replace(items)
	sh.report("list", time.Time{}, nil)
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := f.watch(ctx, client, sh, &version)
		if err != nil {
			if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
				return err
			}
			sh.fail(ctx, "watch", err)
		}
		if time.Since(began) > longPause {
			pause = firstPause
			if err == nil {
				continue
			}
		}
		wait(ctx, pause)
		pause = min(2*pause, longPause)
	}
	return context.Cause(ctx)
}

// list reads all there is now. It asks for no version, so the answer is never
// what a cache of the server remembers: that could still show a Deployment
// without what was just pinned.
func (f feed) list(ctx context.Context, client dynamic.ResourceInterface) (map[string]metav1.Object, string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	items := map[string]metav1.Object{}
	o := metav1.ListOptions{FieldSelector: f.selector, Limit: listPage}
	for {
		list, err := client.List(ctx, o)
		if err != nil {
			return nil, "", err
		}
		for i := range list.Items {
			item, err := lean(&list.Items[i], f.typed)
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", list.Items[i].GetName(), err)
			}
			items[address(item)] = item
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return items, list.GetResourceVersion(), nil
		}
	}
}

// watch follows changes after version, which it moves on, until the server
// ends the watch or an error does.
func (f feed) watch(ctx context.Context, client dynamic.ResourceInterface, sh *shelf, version *string) error {
	seconds := int64(watchFor / time.Second)
	opening, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(listTimeout, func() { cancel(context.DeadlineExceeded) }) // a server says at once that it watches
	w, err := client.Watch(opening, metav1.ListOptions{
		FieldSelector: f.selector, ResourceVersion: *version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds,
	})
	if !silent.Stop() {
		err = context.Cause(opening)
	}
	if err != nil {
		return err
	}
	defer w.Stop()
	sh.report("watch", time.Time{}, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			if !open {
				return nil
			}
			if err := f.take(e, sh, version); err != nil {
				return err
			}
		}
	}
}

// take puts one event of a watch on the shelf.
func (f feed) take(e watch.Event, sh *shelf, version *string) error {
	if e.Type == watch.Error {
		return apierrors.FromObject(e.Object)
	}
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("the server sent a %T", e.Object)
	}
	if v := u.GetResourceVersion(); v != "" {
		*version = v
	}
	if e.Type == watch.Bookmark {
		return nil
	}
	o, err := lean(u, f.typed)
	if err != nil {
		return err
	}
	if e.Type == watch.Deleted {
		sh.remove(o)
		return nil
	}
	sh.put(o)
	return nil
}

// fail reports err, unless it is only that we stopped.
func (sh *shelf) fail(ctx context.Context, verb string, err error) {
	if ctx.Err() != nil {
		return
	}
	since := time.Now()
	if errors.Is(err, context.DeadlineExceeded) {
		since, err = since.Add(-listTimeout), fmt.Errorf("no answer within %s", listTimeout)
	}
	sh.report(verb, since, err)
}

// wait returns after d or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
