package rollout

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Errands are what a verdict needs from elsewhere: answers of the registry and
// logs of what died. They run beside the vigil and hand over what they found
// through done, so that only the vigil's goroutine writes to it.
type errands struct {
	cluster  Cluster
	resolver Resolver
	log      *slog.Logger
	running  *sync.WaitGroup
	done     chan func()

	asked   map[question]bool
	pending int // last words that were sent for; the vigil's to read
}

const (
	askTimeout  = 15 * time.Second
	askTries    = 3
	logTimeout  = 2 * time.Second
	logTries    = 4
	logLines    = 20
	logLineSize = 2000 // bytes of a line that are kept
	logSize     = 256 << 10
)

// ask puts q to the registry, once, and again if that fails.
func (e *errands) ask(ctx context.Context, q question, tell func(answer)) {
	if e.asked[q] {
		return
	}
	if e.asked == nil {
		e.asked = map[question]bool{}
	}
	e.asked[q] = true
	e.running.Go(func() {
		var a answer
		pause := time.Second
		for try := range askTries {
			if try > 0 {
				wait(ctx, pause)
				pause *= 2
			}
			if a = e.askOnce(ctx, q); a.err == nil || ctx.Err() != nil {
				break
			}
			e.log.Debug("registry", "pinned", q.pinned, "reported", q.reported, "err", a.err)
		}
		e.deliver(ctx, func() { tell(a) })
	})
}

func (e *errands) askOnce(ctx context.Context, q question) answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	same, err := e.resolver.Equivalent(ctx, q.repository, q.pinned, q.reported)
	return answer{same, err}
}

// lastWords fetches the end of what g wrote. Without it a verdict stands as well.
func (e *errands) lastWords(ctx context.Context, g grave, tell func([]string)) {
	logs, ok := e.cluster.(Logs)
	if !ok {
		return
	}
	e.pending++
	e.running.Go(func() {
		limited, cancel := context.WithTimeout(ctx, logTimeout)
		defer cancel()
		lines, err := dig(limited, logs, g)
		if err != nil {
			e.log.Debug("no log", "pod", g.pod, "container", g.container, "err", err)
		}
		e.deliver(ctx, func() {
			e.pending--
			tell(lines)
		})
	})
}

// deliver hands f to the vigil, or drops it when nobody waits any longer.
func (e *errands) deliver(ctx context.Context, f func()) {
	select {
	case e.done <- f:
	case <-ctx.Done():
	}
}

// dig returns the last lines that g wrote. It may have been started again since it
// died, or not yet: then they are in the log of its present run, or of the one
// before; and while that changes they may be in neither for a moment.
func dig(ctx context.Context, logs Logs, g grave) (lines []string, err error) {
	for try := range logTries {
		if try > 0 {
			wait(ctx, time.Duration(try)*50*time.Millisecond)
		}
		if lines, err = read(ctx, logs, g); err == nil && len(lines) > 0 || ctx.Err() != nil {
			break
		}
		g.previous = !g.previous
	}
	return lines, err
}

// kubelets matches what a kubelet answers, as if the program had written it, when
// the log was removed between its look and its reading (pkg/kubelet/kuberuntime).
var kubelets = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(unable to retrieve container logs for \S+://|failed to try resolving symlinks in path "?/var/log/|failed to open log file "?/var/log/|failed to watch file "?/var/log/)`)
})

// errRemoved reports that there is no log any more.
var errRemoved = errors.New("its log was just removed")

// read returns the last lines that g wrote.
func read(ctx context.Context, logs Logs, g grave) ([]string, error) {
	stream, err := logs.Logs(ctx, g.namespace, g.pod, g.container, g.previous, logLines)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	defer func() { _ = stream.Close() }()
	var lines []string
	scanner := bufio.NewScanner(io.LimitReader(stream, logSize))
	scanner.Buffer(nil, logSize)
	for scanner.Scan() {
		lines = append(lines, strings.ToValidUTF8(cut(scanner.Text(), logLineSize), "\uFFFD"))
	}
	if len(lines) == 1 && kubelets().MatchString(lines[0]) {
		return nil, errRemoved
	}
	return lines[max(0, len(lines)-logLines):], scanner.Err()
}
