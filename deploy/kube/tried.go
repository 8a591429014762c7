package kube

import (
	"reflect"
	"sync"
	"time"
)

// goodFor is how long an answer to a dry-run is believed.
const goodFor = time.Minute

// tries remembers which objects an API server would make. A plan is made, and soon
// after that it is looked again before anything is written: what is not there yet
// then, and was tried as it is, need not be tried again.
type tries struct {
	mu sync.Mutex
	of map[address]try
}

// A try is one that went well.
type try struct {
	body map[string]any
	at   time.Time
}

// note remembers that an item would be made.
func (t *tries) note(it *item, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[address]try{}
	}
	t.of[addressOf(it.object)] = try{it.object.Body, now}
}

// good reports whether an item would be made, as far as is known.
func (t *tries) good(it *item, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.of[addressOf(it.object)]
	return ok && it.live == nil && now.Sub(last.at) < goodFor && reflect.DeepEqual(last.body, it.object.Body)
}
