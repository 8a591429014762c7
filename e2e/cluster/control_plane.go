package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controllersoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// controlPlaneCommand runs etcd, API server, controller manager, scheduler, and the fake node
// if there is one, until ctx ends or one of them does.
//
// The components' own cobra commands cannot share a process: each sets up signals and logging,
// which may be done once only. Their options and Run functions can.
func controlPlaneCommand(ctx context.Context, args []string, _, stderr io.Writer) error {
	l, err := dirFlag(flag.NewFlagSet(controlPlane, flag.ContinueOnError), args, stderr)
	if err != nil {
		return err
	}
	s, err := loadSettings(l)
	if err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})

	all, ctx := errgroup.WithContext(ctx)
	// start runs a component; one that returns while nobody asked it to takes all down.
	start := func(name string, run func(context.Context) error) {
		all.Go(func() error {
			err := run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("ended by itself")
			}
			return fmt.Errorf("%s: %w", name, err)
		})
	}
	etcdReady := make(chan struct{})
	start("etcd", func(ctx context.Context) error { return runEtcd(ctx, l, s, etcdReady) })
	start("API server", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-etcdReady:
			return runAPIServer(ctx, l, s)
		}
	})
	whenReady := func(run func(context.Context, layout, settings) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := waitForAPIServer(ctx, l); err != nil {
				return err
			}
			return run(ctx, l, s)
		}
	}
	start("controller manager", whenReady(runControllers))
	start("scheduler", whenReady(runScheduler))
	if s.Node == kwokNode {
		start("fake node", whenReady(runFakeNode))
	} else {
		for _, addr := range []string{serviceAddr, s.nodeAddr(apiOffset)} {
			start("forward "+addr, whenReady(func(ctx context.Context, _ layout, s settings) error {
				return forward(ctx, addr, s.loopback(apiOffset))
			}))
		}
	}
	return all.Wait()
}

// newClient returns a client that may do everything, without a limit on its rate.
func newClient(l layout) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig())
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

func waitForAPIServer(ctx context.Context, l layout) error {
	client, err := newClient(l)
	if err != nil {
		return err
	}
	return poll(ctx, 50*time.Millisecond, "the API server", func(ctx context.Context) (bool, error) {
		var code int
		client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
		return code == http.StatusOK, nil
	})
}

func runAPIServer(ctx context.Context, l layout, s settings) error {
	o := apiserveroptions.NewServerRunOptions()
	if err := parse(o.Flags(), []string{
		"--etcd-servers=http://" + s.loopback(etcdOffset),
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", s.APIPort),
		"--advertise-address=" + nodeIP, // endpoints may not be loopback
		"--tls-cert-file=" + l.pki("apiserver.crt"), "--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-client-certificate=" + l.pki("apiserver-to-kubelet.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-to-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + l.pki("sa.key"), "--service-account-key-file=" + l.pki("sa.pub"),
		"--service-cluster-ip-range=" + serviceCIDR,
		"--authorization-mode=Node,RBAC", "--allow-privileged=true", "--profiling=false",
	}); err != nil {
		return err
	}
	// The registry of feature gates is shared with the other components: set it once, here,
	// which is before any of them starts.
	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return err
	}
	for _, err := range completed.Validate() {
		return err
	}
	return apiserver.Run(ctx, completed)
}

func runControllers(ctx context.Context, l layout, s settings) error {
	o, err := controllersoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	known, disabled, aliases := controllers.KnownControllers(), controllers.ControllersDisabledByDefault(), controllers.ControllerAliases()
	flags := o.Flags(known, disabled, aliases)
	o.ParsedFlags = &flags
	if err := parse(flags, []string{
		"--kubeconfig=" + l.pki("controllers.kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", s.APIPort+controllersOffset),
		"--service-account-private-key-file=" + l.pki("sa.key"), "--root-ca-file=" + l.pki("ca.crt"),
		"--cluster-signing-cert-file=" + l.pki("ca.crt"), "--cluster-signing-key-file=" + l.pki("ca.key"),
		"--use-service-account-credentials=false", "--profiling=false",
	}); err != nil {
		return err
	}
	c, err := o.Config(ctx, known, disabled, aliases)
	if err != nil {
		return err
	}
	return controllers.Run(ctx, c.Complete())
}

func runScheduler(ctx context.Context, l layout, s settings) error {
	o := scheduleroptions.NewOptions()
	if err := parse(*o.Flags, []string{
		"--kubeconfig=" + l.pki("scheduler.kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", fmt.Sprint("--secure-port=", s.APIPort+schedulerOffset),
		"--profiling=false",
	}); err != nil {
		return err
	}
	config, sched, err := scheduler.Setup(ctx, o)
	if err != nil {
		return err
	}
	return scheduler.Run(ctx, config, sched)
}

// parse sets the flags of one component.
func parse(named cliflag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, f := range named.FlagSets {
		fs.AddFlagSet(f)
	}
	return fs.Parse(args)
}
