package solve

import (
	"errors"
	"testing"
)

// What kubectl writes for its developers is said only where it says nothing else.
func TestSaid(t *testing.T) {
	const klog = `E1129 23:01:56.677125   26461 memcache.go:265] "Unhandled Error" err="connection refused"`
	for stderr, want := range map[string]string{
		klog + "\n" + klog + "\nThe connection to the server localhost:8080 was refused": "kubectl: The connection to the server localhost:8080 was refused",
		"one\r\ntwo\n": "kubectl: one; two",
		klog:           "kubectl: " + klog,
		"":             "kubectl: exit status 1",
	} {
		err := said(errors.New("command [kubectl exec pod] has exited with exit status 1, make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: stderr=" + stderr))
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	if err := errors.New("other"); !errors.Is(said(err), err) {
		t.Error("another error is changed")
	}
}
