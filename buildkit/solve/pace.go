package solve

import "sync"

// mostAhead is how many files a walk is ahead of those that are sent.
const mostAhead = 1024

// A pace holds a walk back while files are sent. The receiver keeps a goroutine for each
// file that it has been told of and has not got: of 50,000 at once that is 300 MB.
type pace struct {
	mu    sync.Mutex
	moved sync.Cond
	ahead int // files that were walked to, less those that were opened
	open  int
}

func newPace() *pace {
	p := &pace{}
	p.moved.L = &p.mu
	return p
}

// walked is called for each file. It waits while the walk is far ahead and a file is
// open; where nothing is sent, nothing is waited for.
func (p *pace) walked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ahead++; p.ahead > mostAhead && p.open > 0; {
		p.moved.Wait()
	}
}

func (p *pace) opened() { p.move(1) }
func (p *pace) closed() { p.move(-1) }

func (p *pace) move(d int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open += d; d > 0 && p.ahead > 0 {
		p.ahead--
	}
	p.moved.Broadcast()
}
