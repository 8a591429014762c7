package kube_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

func TestIdentity(t *testing.T) {
	c := newFake(t).cluster(t)
	if uid, err := c.Identity(t.Context()); uid != "the-uid" || err != nil {
		t.Errorf("got %q, %v", uid, err)
	}
	if ns, err := c.DefaultNamespace(); ns != "shop" || err != nil {
		t.Errorf("got %q, %v", ns, err)
	}
	c = &kube.Cluster{Kubeconfig: c.Kubeconfig, Namespace: "mine"}
	if ns, err := c.DefaultNamespace(); ns != "mine" || err != nil {
		t.Errorf("got %q, %v", ns, err)
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := new(kube.Cluster).Identity(t.Context())
	var failed *deploy.ClusterError
	if !errors.Is(err, deploy.ErrNoCluster) || !errors.As(err, &failed) {
		t.Errorf("got %v", err)
	}
}

func TestKubeconfigWithoutWhatIsAsked(t *testing.T) {
	path := newFake(t).cluster(t).Kubeconfig
	for name, row := range map[string]struct {
		cluster *kube.Cluster
		want    string
	}{
		"context": {&kube.Cluster{Kubeconfig: path, Context: "other"}, "the kubeconfig has no context other (it has x)"},
		"file":    {&kube.Cluster{Kubeconfig: path + "x"}, "no such file"},
	} {
		_, err := row.cluster.Identity(t.Context())
		var failed *deploy.ClusterError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), row.want) || errors.Is(err, deploy.ErrNoCluster) {
			t.Errorf("%s: got %v, want %q", name, err, row.want)
		}
	}
}

func TestDeadServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := &kube.Cluster{Kubeconfig: kubeconfig(t, "http://someone:secret@"+address, "")}
	_, err = c.Diff(t.Context(), littleSet(t, little))
	var failed *deploy.ClusterError
	if !errors.As(err, &failed) || failed.Server != "http://"+address || strings.Count(err.Error(), "is the cluster up") != 1 {
		t.Errorf("got %v", err)
	}
}

func TestServerThatCannotBeReached(t *testing.T) {
	c := newFake(t).cluster(t)
	c.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("i/o timeout")}
	}
	_, err := c.Identity(t.Context())
	var failed *deploy.ClusterError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "read namespace kube-system, whose uid identifies the cluster: dial tcp: i/o timeout (is the cluster up") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedByTheServer(t *testing.T) {
	for name, row := range map[string]struct {
		code         int
		status       map[string]any
		method, want string
	}{
		"unauthorised": {http.StatusUnauthorized, status("Unauthorized", "Unauthorized"), "GET", "the server does not know who we are (check the credentials of the kubeconfig)"},
		"forbidden":    {http.StatusForbidden, status("Forbidden", `configmaps is forbidden: User "me" cannot list resource "configmaps"`), "GET", `User "me" cannot list resource "configmaps"`},
		"may not write": {
			http.StatusForbidden, status("Forbidden", `configmaps "conf" is forbidden: User "me" cannot patch resource "configmaps" in API group ""`), "PATCH",
			`cannot patch resource`,
		},
		"broken": {http.StatusInternalServerError, status("InternalError", "etcd is gone"), "PATCH", "etcd is gone"},
	} {
		f := newFake(t)
		f.refuse = func(method, _, _ string) (int, map[string]any) {
			if method == row.method {
				return row.code, row.status
			}
			return 0, nil
		}
		_, err := f.cluster(t).Diff(t.Context(), littleSet(t, little))
		var failed *deploy.ClusterError
		if !errors.As(err, &failed) || failed.Server != f.server.URL || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", name, err, row.want)
		}
	}
}

func TestNamespacesWeMayNotReadCountAsThere(t *testing.T) {
	f := newFake(t)
	f.refuse = func(_, path, _ string) (int, map[string]any) {
		if path == "/api/v1/namespaces/shop" {
			return http.StatusForbidden, status("Forbidden", `namespaces "shop" is forbidden: User "me" cannot get resource "namespaces"`)
		}
		return 0, nil
	}
	if _, err := f.cluster(t).Diff(t.Context(), littleSet(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}}")); err != nil {
		t.Error(err)
	}
}

func TestSecretsThatAreNoText(t *testing.T) {
	_, err := newFake(t).cluster(t).Diff(t.Context(), littleSet(t, "{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {pin: 1234}}"))
	if err == nil || err.Error() != "Secret sec: stringData.pin is no text (put it in quotes)" {
		t.Errorf("got %v", err)
	}
}
