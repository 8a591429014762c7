package e2e_test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// uid is what tells the cluster from all others.
func (c *cluster) uid(t *testing.T) string {
	t.Helper()
	ns, err := c.client.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(ns.UID)
}

// token lets its bearer be the namespace's ServiceAccount, which may do nothing.
func (c *cluster) token(t *testing.T, ns string) string {
	t.Helper()
	tr, err := c.client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Status.Token
}

// allow lets the namespace's ServiceAccount do something to everything, everywhere.
func (c *cluster) allow(t *testing.T, ns string, verbs ...string) {
	t.Helper()
	roles := c.client.RbacV1().ClusterRoles()
	bindings := c.client.RbacV1().ClusterRoleBindings()
	meta := metav1.ObjectMeta{Name: ns}
	if _, err := roles.Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: verbs}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: ns},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: ns}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	afterwards(t, func(ctx context.Context) error {
		return errors.Join(bindings.Delete(ctx, ns, metav1.DeleteOptions{}), roles.Delete(ctx, ns, metav1.DeleteOptions{}))
	})
}

// kubeconfigFor writes a kubeconfig for another server, or for a bearer of token.
func (c *cluster) kubeconfigFor(t *testing.T, server, token string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	current := config.Contexts[config.CurrentContext]
	if server != "" {
		config.Clusters[current.Cluster].Server = server
	}
	if token != "" {
		config.AuthInfos[current.AuthInfo] = &clientcmdapi.AuthInfo{Token: token}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// spied returns the same cluster by way of a proxy, and a function that returns all requests so
// far that change something.
func (c *cluster) spied(t *testing.T) (*cluster, func() []string) {
	t.Helper()
	return c.watched(t, func(int) {})
}

// watched is spied, and calls after with the number of each write, from 1, when the cluster has
// done it and before slipway hears of that.
func (c *cluster) watched(t *testing.T, after func(n int)) (*cluster, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var writes []string
	through := c.behind(t, func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") {
			proxy.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		writes = append(writes, r.Method+" "+r.URL.String())
		n := len(writes)
		mu.Unlock()
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		after(n)
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // slipway may be gone
	})
	return through, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(writes)
	}
}

// asked returns the same cluster by way of a proxy, and a function that returns all requests so far.
func (c *cluster) asked(t *testing.T) (*cluster, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	through := c.behind(t, func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, r.Method+" "+r.URL.String())
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	})
	return through, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// behind returns the same cluster by way of a proxy; serve hands requests on to it.
func (c *cluster) behind(t *testing.T, serve func(proxy http.Handler, w http.ResponseWriter, r *http.Request)) *cluster {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,                         // watches
		ErrorLog:      log.New(io.Discard, "", 0), // requests that slipway gave up
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(proxy, w, r) }))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	through := clientcmdapi.NewConfig()
	through.Clusters["spied"] = &clientcmdapi.Cluster{Server: server.URL}
	through.Contexts["spied"] = &clientcmdapi.Context{Cluster: "spied"}
	through.CurrentContext = "spied"
	if err := clientcmd.WriteToFile(*through, path); err != nil {
		t.Fatal(err)
	}
	return &cluster{dir: c.dir, kubeconfig: path, client: c.client}
}

// afterwards does something when the test is over.
func afterwards(t *testing.T, do func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := do(ctx); err != nil {
			t.Error(err)
		}
	})
}
