package buildkit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patience is how long a registry may be silent before it is given up: it may
// hash gigabytes before it answers.
const Patience = 5 * time.Minute

// Patient lets a transport, which has a DialContext, give up a server that
// neither sends nor takes anything for as long as patience says; zero means
// [Patience]. That is so in the middle of a body, too.
func Patient(t *http.Transport, patience time.Duration) {
	patience = cmp.Or(patience, Patience)
	dial := t.DialContext
	t.ResponseHeaderTimeout = patience
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &patient{conn, patience + patience/2}, nil // a request whose answer does not begin ends first
	}
}

// patient is a connection that breaks when the other side is silent.
type patient struct {
	net.Conn
	patience time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

// Write gives who answers time from the last byte on that was sent.
func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetDeadline(time.Now().Add(p.patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// A SilentError says that a server was given up. Another try would wait as long.
type SilentError struct {
	Host string
	For  time.Duration
}

func (e *SilentError) Error() string { return fmt.Sprintf("%s says nothing for %v", e.Host, e.For) }

const (
	steadyTries = 4
	steadyWait  = 250 * time.Millisecond // before the second try; twice as long each time
	longestWait = time.Minute            // who wants more is given up
)

// Steady returns a round tripper that asks again what may be asked again, GET,
// HEAD and forms for tokens, when no answer came or the server is not well: up to
// four times, and twice where it said nothing. Which other statuses than those of
// success are worth that, worth says.
func Steady(next http.RoundTripper, worth func(status int) bool) http.RoundTripper {
	return &steady{next, worth}
}

// Unwell reports whether a status says that a server, or the way there, is broken
// for the time being.
func Unwell(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Busy reports whether a status says that a server may answer later.
func Busy(status int) bool {
	return Unwell(status) || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

type steady struct {
	next  http.RoundTripper
	worth func(status int) bool
}

func (s *steady) RoundTrip(req *http.Request) (*http.Response, error) {
	wait := steadyWait
	for try := 1; ; try++ {
		resp, err := s.next.RoundTrip(req)
		pause, again := s.again(req, resp, err, try)
		if !again {
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
		if err := Sleep(req.Context(), cmp.Or(pause, wait)); err != nil {
			return nil, err
		}
		wait *= 2
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req = req.Clone(req.Context())
			req.Body = body
		}
	}
}

// again reports whether another try makes sense, and after what time if the
// server has said so.
func (s *steady) again(req *http.Request, resp *http.Response, err error, try int) (time.Duration, bool) {
	form := req.Method == http.MethodPost && req.GetBody != nil && strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	if req.Method != http.MethodGet && req.Method != http.MethodHead && !form || try == steadyTries || req.Context().Err() != nil {
		return 0, false
	}
	if _, silent := errors.AsType[*SilentError](err); silent {
		return 0, try == 1
	}
	if err != nil {
		return 0, Passing(err)
	}
	if !s.worth(resp.StatusCode) {
		return 0, false
	}
	pause := RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	return pause, pause <= longestWait
}

// Passing reports whether an error of a connection may be gone at the next try.
func Passing(err error) bool {
	if _, ok := errors.AsType[RefusedError](err); ok {
		return false
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return !e.IsNotFound
	}
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	return !cert && !authority && !errors.Is(err, syscall.ECONNREFUSED) // nobody listens: say so at once
}

// Silence reports whether an error is that of a server that said nothing for too
// long, once it was connected to.
func Silence(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return false
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// RetryAfter returns how long a server wants to be left alone, which a header says
// in seconds or as a date (RFC 9110 10.2.3).
func RetryAfter(header string, now time.Time) time.Duration {
	if s, err := strconv.Atoi(header); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// Sleep waits, or returns the cause of the context's end.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
