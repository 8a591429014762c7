package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/slipway-ci/slipway/deploy"
)

// failed makes a *[deploy.ClusterError] of what went wrong while doing
// something. An error that says more about the set than about the cluster
// passes unchanged; where ctx ended, its cause is returned.
func (c *Cluster) failed(ctx context.Context, doing string, err error) error {
	var unknown *unknownKindError
	var bad *badVersionError
	var known *deploy.ClusterError
	switch {
	case err == nil || errors.As(err, &unknown) || errors.As(err, &bad) || errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	failure := &deploy.ClusterError{Doing: doing, Err: plainly(err)}
	if c.conn != nil {
		failure.Server = c.conn.server
	}
	return failure
}

// plainly strips what client-go wraps around the server's own words, and adds
// the cure where there is a usual one. The error itself stays in the chain.
func plainly(err error) error {
	var dial *net.OpError
	var request *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return &said{"the server does not know who we are (check the credentials of the kubeconfig)", err}
	case apierrors.IsForbidden(err):
		return &said{strings.TrimSuffix(err.Error(), "."), err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &said{"no answer in time (is the cluster up, and reachable from here? --request-timeout lets it take longer)", err}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &said{fmt.Sprintf("%v (is the cluster up, and reachable from here?)", dial), err}
	case errors.As(err, &request): // it would repeat the URL
		return &said{request.Err.Error(), err}
	}
	return err
}

// said is an error in words that are ours or the server's.
type said struct {
	words string
	err   error
}

func (s *said) Error() string { return s.words }
func (s *said) Unwrap() error { return s.err }

// reason returns the server's message of a refusal, or what we made of it, on one line.
func reason(err error) string {
	words := err.Error()
	var status apierrors.APIStatus
	if ours := (*said)(nil); !errors.As(err, &ours) && errors.As(err, &status) && status.Status().Message != "" {
		words = status.Status().Message
	}
	return strings.Join(strings.Fields(words), " ")
}

// untyped is how the server begins when an object does not fit its schema,
// which it calls an internal error.
var untyped = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^failed to create typed patch object \([^)]*\): \.?`)
})

// refused reports whether the server answered and said no to the object
// itself, rather than to us or by breaking down.
func refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch status.Status().Code {
	case http.StatusInternalServerError:
		return untyped().MatchString(reason(err))
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusConflict, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return true
	case http.StatusForbidden:
		return !unauthorised(err)
	}
	return false
}

// unauthorised reports whether a refusal comes from the server's access
// rules, and not from a webhook, a policy or a quota: both are 403.
func unauthorised(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(reason(err), `User "`) && strings.Contains(reason(err), " cannot ")
}
