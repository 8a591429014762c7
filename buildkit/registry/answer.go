package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/slipway-ci/slipway/buildkit"
)

// An answer is a registry's no. Its text is the registry's, made harmless.
type answer struct {
	status int
	code   string // of the distribution specification; empty if there was none
	text   string
	after  time.Duration // when to ask again; zero if it did not say
}

func (a *answer) Error() string {
	msg := strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	if a.text != "" {
		msg += ": " + a.text
	}
	return msg
}

// Is matches buildkit.ErrNotFound if there is no such repository, tag or digest.
func (a *answer) Is(target error) bool {
	return target == buildkit.ErrNotFound &&
		(a.status == http.StatusNotFound || a.code == "NAME_UNKNOWN" || a.code == "MANIFEST_UNKNOWN")
}

// readAnswer reads why a registry said no.
func readAnswer(resp *http.Response) error {
	a := &answer{status: resp.StatusCode, after: buildkit.RetryAfter(resp.Header.Get("Retry-After"), time.Now())}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said struct {
		Errors []struct{ Code, Message string }
	}
	switch {
	case err != nil || len(body) == 0:
	case json.Unmarshal(body, &said) == nil && len(said.Errors) > 0:
		a.code = said.Errors[0].Code
		var texts []string
		for _, e := range said.Errors {
			texts = append(texts, strings.TrimSuffix(e.Code+": "+e.Message, ": "))
		}
		a.text = harmless(strings.Join(texts, "; "))
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		a.text = harmless(string(body))
	}
	return a
}

// harmless takes control sequences from a registry's text, and its length.
func harmless(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300]) + "…"
	}
	return text
}

// A netError is a request that got no answer. It hides the URL, which can hold
// a signature that is as good as a password.
type netError struct{ err error }

func (e *netError) Error() string { return e.err.Error() }
func (e *netError) Unwrap() error { return e.err }

func wireError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &netError{err}
}

// isAnswer reports whether a registry answered, though not as we wished.
func isAnswer(err error) bool {
	_, said := errors.AsType[*answer](err)
	_, login := errors.AsType[*transport.Error](err)
	return said || login
}

// temporary reports whether trying again can help.
func temporary(err error) bool {
	if _, ok := errors.AsType[*finalError](err); ok {
		return false
	}
	if a, ok := errors.AsType[*answer](err); ok {
		return buildkit.Busy(a.status)
	}
	if e, ok := errors.AsType[*transport.Error](err); ok { // of a login
		return buildkit.Busy(e.StatusCode)
	}
	if _, ok := errors.AsType[refusedError](err); ok || sourceFault(err) != nil || !buildkit.Passing(err) || errors.Is(err, errDigest) {
		return false
	}
	if strings.Contains(err.Error(), "refusing token-server redirect") { // go-containerregistry has no type for it
		return false
	}
	_, mine := errors.AsType[*netError](err)
	_, login := errors.AsType[*url.Error](err)
	return mine || login || errors.Is(err, io.ErrUnexpectedEOF)
}

// A downError says that nobody listens. What it wraps names every attempt: with
// TLS and without, at each address.
type downError struct{ err error }

func (downError) Error() string {
	return "connection refused (is it running, and is this its address?)"
}
func (e downError) Unwrap() error { return e.err }

// loginHint adds the cure to a registry's 401 and 403.
func loginHint(host string, err error) error {
	status := 0
	if a, ok := errors.AsType[*answer](err); ok {
		status = a.status
	} else if e, ok := errors.AsType[*transport.Error](err); ok {
		status = e.StatusCode
		text := ""
		for _, d := range e.Errors {
			text = harmless(string(d.Code) + ": " + d.Message)
		}
		err = fmt.Errorf("login: %w", &loginError{status, text, err})
	}
	switch status {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w (docker login %s, or give its credentials to Docker's configuration)", err, host)
	case http.StatusForbidden:
		return fmt.Errorf("%w (the account that is logged in at %s may not do this)", err, host)
	}
	return err
}

// A loginError is what came back instead of leave to speak with a registry. It
// is never ErrNotFound: a 404 here means that there is no registry.
type loginError struct {
	status int
	text   string
	err    error
}

func (e *loginError) Error() string { return (&answer{status: e.status, text: e.text}).Error() }
func (e *loginError) Unwrap() error { return e.err }
