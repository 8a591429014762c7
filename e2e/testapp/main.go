// Command testapp is what the images of the end-to-end tests run: one static binary whose first
// argument says how it behaves.
//
//	serve      HTTP on :8080: / says hello, /healthz is 200 after START_AFTER (default 0s); before that
//	           it dies CRASHES times, counted in the folder /state, and holds EAT MiB of memory; it
//	           dies when it has lived for LIVES
//	notready   HTTP on :8080: /healthz is always 503
//	crash      prints a line and exits with 3
//	selftest   prints ok and exits with 0, or with 1 if FAIL is set
//	sleep      does nothing until it is told to end
//	env NAME   prints the variable
//	get URL    prints the status and body of a GET; exits with 1 if the status is not 200
//	api PATH   the same of the API server, with the pod's ServiceAccount token
//
// # Owns
//
// Nothing; it is a stand-in for a user's program.
//
// # May touch
//
// Its own port, and the URL it is given.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out io.Writer) int {
	args = append(args, "", "")
	var err error
	switch args[0] {
	case "serve":
		var after, lives time.Duration
		if after, err = duration("START_AFTER", 0); err != nil {
			break
		}
		if lives, err = duration("LIVES", 1<<62); err != nil {
			break
		}
		if err = crashes(os.Getenv("CRASHES")); err != nil {
			break
		}
		if err = eat(os.Getenv("EAT")); err != nil {
			break
		}
		limited, stop := context.WithTimeout(ctx, lives)
		defer stop()
		if err = serve(limited, out, after); err == nil && ctx.Err() == nil {
			err = errors.New("lived for long enough")
		}
	case "notready":
		err = serve(ctx, out, 1<<62)
	case "crash":
		fmt.Fprintln(out, "crashing on purpose")
		return 3
	case "selftest":
		if v := os.Getenv("FAIL"); v != "" {
			err = errors.New("selftest: " + v)
		} else {
			fmt.Fprintln(out, "ok")
		}
	case "sleep":
		<-ctx.Done()
	case "env":
		fmt.Fprintln(out, os.Getenv(args[1]))
	case "get":
		err = get(ctx, out, http.DefaultClient, args[1], "")
	case "api":
		err = callAPI(ctx, out, args[1])
	default:
		err = fmt.Errorf("unknown mode %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

// duration is that of an environment variable.
func duration(name string, otherwise time.Duration) (time.Duration, error) {
	if v := os.Getenv(name); v != "" {
		return time.ParseDuration(v)
	}
	return otherwise, nil
}

// crashes returns an error until it has done so times times, in this container and those before it.
func crashes(times string) error {
	if times == "" {
		return nil
	}
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	const file = "/state/starts"
	starts, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(file, append(starts, '.'), 0o600); err != nil {
		return err
	}
	if len(starts) < n {
		return fmt.Errorf("crash %d of %d", len(starts)+1, n)
	}
	return nil
}

// eaten is the memory that eat holds.
var eaten []byte

// eat takes memory, and uses each page of it.
func eat(megabytes string) error {
	if megabytes == "" {
		return nil
	}
	n, err := strconv.Atoi(megabytes)
	if err != nil {
		return err
	}
	eaten = make([]byte, n<<20)
	for i := 0; i < len(eaten); i += 4096 {
		eaten[i] = 1
	}
	return nil
}

// serve answers until ctx ends; /healthz is 503 until after has passed.
func serve(ctx context.Context, out io.Writer, after time.Duration) error {
	start := time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(start) < after {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		host, _ := os.Hostname()
		fmt.Fprintln(w, "hello from", host)
	})
	server := &http.Server{Addr: ":8080", Handler: mux}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintln(out, "serving on :8080")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(ctx context.Context, out io.Writer, client *http.Client, url, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	fmt.Fprintln(out, resp.Status, string(body))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return err
}

// callAPI uses what every pod is given: the address in the environment, CA and token as files.
func callAPI(ctx context.Context, out io.Writer, path string) error {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	host := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	return get(ctx, out, client, "https://"+host+path, strings.TrimSpace(string(token)))
}
