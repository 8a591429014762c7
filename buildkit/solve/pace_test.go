package solve

import (
	"testing"
	"testing/synctest"
)

// TestPace walks while nothing is open, and while a file is.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		for range 10 * mostAhead { // what need not be sent
			p.walked()
		}
		p.opened()
		n := 0
		go func() {
			for ; n < 3; n++ {
				p.walked()
			}
		}()
		synctest.Wait()
		if n != 0 {
			t.Fatalf("%d files further while one is sent", n)
		}
		p.closed()
		synctest.Wait()
		if n != 3 {
			t.Errorf("%d files further when it was sent (want 3)", n)
		}
	})
	synctest.Test(t, func(*testing.T) {
		p := newPace()
		p.opened()
		for range mostAhead { // not far ahead yet
			p.walked()
		}
		p.opened()
		p.walked() // one that was told of is sent
	})
}
