package kube

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
)

// Limits that keep a dead or silent server from holding us up.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 30 * time.Second
)

// limit bounds one request.
func (c *Cluster) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(c.Timeout, requestTimeout))
}

// connection is what the first use of a Cluster makes.
type connection struct {
	config   *rest.Config
	dynamic  dynamic.Interface
	metadata metadata.Interface
	raw      *rest.RESTClient
	server   string // URL, without credentials
	kinds    *kinds
}

func (c *Cluster) connected(ctx context.Context) (*connection, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.connect.Do(func() { c.conn, c.connErr = c.open() })
	return c.conn, c.connErr
}

func (c *Cluster) open() (*connection, error) {
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the limit is Parallel; client-go's own would be 5 requests a second
	config.WarningHandlerWithContext = warnings{c.log()}
	config.UserAgent = Manager
	if c.UserAgent != "" {
		config.UserAgent = c.UserAgent
	}
	if config.Dial = c.Dial; config.Dial == nil {
		config.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &again{next: next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, &deploy.ClusterError{Server: shown(config.Host), Doing: "read credentials", Err: err}
	}
	conn := &connection{config: config, server: shown(config.Host)}
	conn.dynamic, err = dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, &deploy.ClusterError{Server: conn.server, Doing: "read kubeconfig", Err: err}
	}
	conn.metadata, err = metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, &deploy.ClusterError{Server: conn.server, Doing: "read kubeconfig", Err: err}
	}
	conn.raw, err = rest.UnversionedRESTClientForConfigAndClient(plain(config), client)
	if err != nil {
		return nil, &deploy.ClusterError{Server: conn.server, Doing: "read kubeconfig", Err: err}
	}
	conn.kinds = &kinds{client: conn.raw, limit: c.limit}
	return conn, nil
}

// load finds the configuration, and says what is missing if there is none.
func (c *Cluster) load() (*rest.Config, error) {
	files := c.kubeconfig()
	config, err := files.ClientConfig()
	if err == nil {
		return config, nil
	}
	raw, rawErr := files.RawConfig()
	contexts := slices.Sorted(maps.Keys(raw.Contexts))
	switch {
	case rawErr != nil:
		err = rawErr
	case len(contexts) > 0 && c.Context == "" && raw.CurrentContext == "":
		err = fmt.Errorf("the kubeconfig has no current context (set --context to one of %s)", strings.Join(contexts, ", "))
	case c.Context != "" && raw.Contexts[c.Context] == nil:
		err = fmt.Errorf("the kubeconfig has no context %s (it has %s)", c.Context, cmp.Or(strings.Join(contexts, ", "), "none"))
	case clientcmd.IsEmptyConfig(err):
		err = fmt.Errorf("%w (want a kubeconfig: set KUBECONFIG or --kubeconfig, or run in a pod with a service account)", deploy.ErrNoCluster)
	}
	return nil, &deploy.ClusterError{Doing: "read kubeconfig", Err: err}
}

// context returns the context that is asked for. In a pod without a kubeconfig there
// are none: the cluster is the pod's own, whatever it is called elsewhere.
func (c *Cluster) context(rules *clientcmd.ClientConfigLoadingRules) string {
	if c.Context == "" || os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return c.Context
	}
	if config, err := rules.Load(); err == nil && len(config.Contexts) == 0 {
		return ""
	}
	return c.Context
}

func (c *Cluster) kubeconfig() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	rules.WarnIfAllMissing = false
	rules.Warner = func(err error) { c.log().Debug("kubeconfig", "warning", err) }
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context(rules), Context: clientcmdapi.Context{Namespace: c.Namespace}}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// plain returns config for requests whose answers we decode ourselves.
func plain(config *rest.Config) *rest.Config {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // so that a Status becomes an error
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.AcceptContentTypes, config.ContentType = "application/json", "application/json"
	return config
}

// shown returns a server's URL without credentials.
func shown(host string) string {
	u, err := url.Parse(host)
	if err != nil {
		return host
	}
	u.User = nil
	return u.String()
}

// warnings sends the API server's warnings to the log; client-go would print them.
type warnings struct{ log *slog.Logger }

var _ rest.WarningHandlerWithContext = warnings{}

func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, text string) {
	w.log.DebugContext(ctx, "warning of the api server", "code", code, "agent", agent, "text", text)
}
