package solve

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/opencontainers/go-digest"
	"google.golang.org/grpc/codes"

	"github.com/slipway-ci/slipway/buildkit"
)

// explain turns what a solve returned into words about the user's Dockerfile.
func (f *follower) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if grpcerrors.Code(err) == codes.Unavailable {
		return &buildkit.HostError{What: wentAway, Cure: "see that it runs", Err: away(err)}
	}
	out := &buildkit.SolveError{File: f.spec.FileName(), Err: reword(err)}
	for _, src := range errdefs.Sources(err) {
		if src.Info == nil || len(src.Ranges) == 0 {
			continue
		}
		out.Line = int(src.Ranges[0].Start.Line)
		out.Source = sourceLine(src.Info.Data, out.Line)
	}
	var vertex *errdefs.VertexError
	if errors.As(err, &vertex) {
		f.mu.Lock()
		defer f.mu.Unlock()
		at := digest.Digest(vertex.Digest)
		out.Vertex = f.names[at]
		out.Log = f.tails[at].last()
	}
	out.Err = f.foreign(out)
	return out
}

const wentAway = "its builder went away"

// lastWords finds how a connection ended, in what gRPC says of it.
var lastWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)(?:connection error: desc = "(?:transport: )?|rpc error: code = Unavailable desc = )(?:[Ee]rror (?:while )?(?:reading from server|reading server preface|dialing): )(.*?)(?:", received prior goaway: .*|")?$`)
})

// away shortens the error of a call to a builder that is not there any more.
func away(err error) error {
	m := lastWords().FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return err
	case m[1] == "EOF":
		m[1] = "it closed the connection"
	}
	return &shortened{text: m[1], err: err}
}

// inFleet is an error of one builder as it is said of several.
func inFleet(err error) error {
	e, ok := errors.AsType[*buildkit.HostError](err)
	switch {
	case !ok || e.Err == nil:
		return err
	case e.What == wentAway:
		return e.Err
	}
	return fmt.Errorf("%s: %w", e.What, e.Err)
}

// foreign adds the cure to the error of a command that is for another machine.
func (f *follower) foreign(e *buildkit.SolveError) error {
	const mark = "exec format error"
	if !strings.Contains(e.Err.Error(), mark) && !strings.Contains(strings.Join(e.Log, "\n"), mark) {
		return e.Err
	}
	what := "its program is not made for this machine"
	if len(f.spec.Platforms) > 0 {
		what = "it is for " + strings.Join(f.spec.Platforms, ", ") + ", and this machine cannot run programs of another platform than its own"
	}
	return fmt.Errorf("%w: %s (install Debian's qemu-user-static and binfmt-support, build with a --builder of that platform, or cross-compile from FROM --platform=$BUILDPLATFORM)", e.Err, what)
}

// sourceOf finds the image that could not be had, in the words of BuildKit:
// nothing typed comes over the wire.
var sourceOf = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:failed to resolve source metadata for|failed to load cache key: |failed to resolve reference ")\s*"?([^\s":]+(?::[0-9]+/[^\s":]+)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?)"?:\s*(.*)`)
})

// missing finds the path of a COPY that matches nothing.
var missing = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`failed to calculate checksum of ref \S+: ("[^"]*"): not found`)
})

// reword wraps an error in a *buildkit.RegistryError if a registry refused, or
// could not be reached. What it cannot tell it only shortens.
func reword(err error) error {
	text := trimmed(err)
	if m := missing().FindStringSubmatch(text); m != nil {
		return &shortened{text: m[1] + ": no such file to copy (does include: or an ignore file keep it out?)", err: err}
	}
	if m := tokenFault().FindStringSubmatch(text); m != nil {
		return &buildkit.RegistryError{Host: m[1], Ref: "token", Err: &shortened{text: m[2], err: err}}
	}
	m := sourceOf().FindStringSubmatch(text)
	if m == nil || strings.Contains(text, "no space left on device") { // that is the builder's
		return &shortened{text: text, err: err}
	}
	ref := m[1]
	answer := strings.TrimPrefix(m[2], ref+": ")
	cause := error(&shortened{text: answer, err: err})
	if reason, ok := strings.CutSuffix(answer, "not found"); ok {
		cause = fmt.Errorf("%s%w", reason, buildkit.ErrNotFound)
	}
	return &buildkit.RegistryError{Host: buildkit.Host(ref), Ref: ref, Err: cause}
}

// trimmed returns the text of an error without what BuildKit puts before all of them,
// and without what opens the storage that it speaks of.
func trimmed(err error) string {
	text := err.Error()
	for _, prefix := range []string{"failed to solve: ", "failed to run Build function: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return buildkit.Unsigned(coded().ReplaceAllString(text, ""))
}

// coded is what gRPC puts before an error.
var coded = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:[A-Z][A-Za-z]+: )?rpc error: code = [A-Z][A-Za-z]+ desc = `)
})

// A shortened error reads better and is the same otherwise.
type shortened struct {
	text string
	err  error
}

func (e *shortened) Error() string { return e.text }
func (e *shortened) Unwrap() error { return e.err }
