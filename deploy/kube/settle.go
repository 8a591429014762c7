package kube

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// settleTries is how often a write is made whose outcome nobody knows.
const settleTries = 3

// settle creates an object, or updates it where it has a resourceVersion, and is
// not misled by an answer that was lost. The server may have taken what was
// sent, and then it says on the next attempt that it is there, or is another version by now:
// so what is there is looked at, and ours tells whether we wrote it.
func settle(ctx context.Context, client dynamic.ResourceInterface, wanted *unstructured.Unstructured, ours func(there *unstructured.Unstructured) bool) (*unstructured.Unstructured, error) {
	version := wanted.GetResourceVersion()
	for try := 1; ; try++ {
		var written *unstructured.Unstructured
		var err error
		if version == "" {
			written, err = client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: Manager})
		} else {
			written, err = client.Update(ctx, wanted, metav1.UpdateOptions{FieldManager: Manager})
		}
		taken := apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err)
		if err == nil || ctx.Err() != nil || !taken && !unheard(err) {
			return written, err
		}
		there, missing := client.Get(ctx, wanted.GetName(), metav1.GetOptions{})
		switch {
		case missing == nil && ours(there):
			return there, nil
		case taken || try == settleTries || missing != nil && !apierrors.IsNotFound(missing):
			return nil, err
		case missing == nil && there.GetResourceVersion() != version:
			return nil, err
		}
	}
}

// unheard reports whether err leaves open what the server did: it broke down, or
// the connection to it.
func unheard(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status) || apierrors.IsInternalError(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err)
}
