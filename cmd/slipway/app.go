package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/buildkit/solve"
	"github.com/slipway-ci/slipway/deploy/schema"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/github"
	"github.com/slipway-ci/slipway/pipeline/report"
	"github.com/slipway-ci/slipway/stages"
)

// An app is slipway with its surroundings handed in.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(name string) (string, bool)
	patience       time.Duration // how long a registry may be silent; zero means [buildkit.Patience]

	flags    flags
	source   string   // sha256 over the pipeline file and what it includes, once it is read
	checkout string   // where git is asked for facts; empty: where the pipeline file is
	secrets  []string // what must not be shown, once it is known

	survey *stages.Survey // stands in for the cluster; nil: the cluster itself

	id        string              // of this run, once it is needed
	concluded bool                // the run has ended, and said so on stdout
	notices   *github.Annotations // what stands beside lines of files on GitHub
	handed    bool                // outputs and summary of the run are written, if somebody reads them
}

// flags are those that every command has.
type flags struct {
	file        string
	environment string
	vars        []string
	varFiles    []string
	only, skip  []string
	from        string
	noPush      bool
	noDeploy    bool
	releaseTo   string
	await       time.Duration
	verdict     string
	parallel    int
	progress    string
	output      string
	verbose     bool

	kubeconfig, context, namespace string
	requestTimeout                 time.Duration
	kubeVersion                    string
	takeFrom                       []string
	approve                        []string
	plainHTTP                      []string
	state                          string
	isolated                       bool
	builders                       []string
	builderCert                    solve.Certificate
	rebuild                        bool
}

// main runs one command and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Build images, roll them out, and prove what runs",
		Long: `slipway builds container images inside its own process, pushes them, renders
kustomize with the digests it built, rolls the result out to Kubernetes, and
stays until it can prove what runs.

Green means the digest you built is what runs. Red tells you why.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, c.CommandPath())
	})
	root.PersistentFlags().BoolVarP(&a.flags.verbose, "verbose", "v", false, "write what developers of slipway want to know")
	root.AddCommand(a.init(), a.validate(), a.explain(), a.environments(), a.schema(), a.graph(), a.plan(), a.run(), a.report(), a.runs(), a.build(), a.deploy(), a.render(), a.diff(), a.job(), a.fetch(), a.registry(), a.cache(), a.doctor(), a.version(), a.man())
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if err := a.twins(c.Flags()); err != nil {
			return err
		}
		if err := schema.CheckVersion(a.flags.kubeVersion); err != nil && a.flags.kubeVersion != "" {
			return usagef("--kube-version %w", err)
		}
		if _, err := a.remotes(); err != nil {
			return err
		}
		if err := a.checkApproved(); err != nil {
			return err
		}
		return a.checkOutput(c)
	}
	root.AddCommand(a.deployments()...)
	c, err := root.ExecuteContextC(ctx)
	var told *toldError
	switch {
	case err == nil:
		a.annotate(nil)
		return exitOK
	case errors.As(err, &told):
		return told.code
	case strings.HasPrefix(err.Error(), "unknown command"): // cobra has no type for it
		err = usagef("%s (see slipway --help)", strings.Join(strings.Fields(err.Error()), " "))
	}
	code := exitCode(err)
	a.failOnGitHub(c, err)
	if a.flags.output == "json" && !a.concluded {
		_ = report.ErrorsJSON(a.mask(a.stdout), err)
		return code
	}
	report.Errors(a.mask(a.stderr), err, readSource)
	a.annotate(err)
	if said := a.space(err); said != "" {
		fmt.Fprintln(a.stderr, said)
	}
	if code == exitCannotBuild {
		fmt.Fprintln(a.stderr, "see also: slipway doctor")
	}
	if known := explained(err); known != "" && code == exitUsage {
		fmt.Fprintf(a.stderr, "see also: slipway explain %s\n", known)
	}
	return code
}

// A toldError ends the command with a code; all there is to say has been said.
type toldError struct{ code int }

func (e *toldError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, but was given %q (see %s --help)", c.CommandPath(), args[0], c.CommandPath())
	}
	return nil
}

// twins sets every flag that was not given from its environment variable:
// --no-push from SLIPWAY_NO_PUSH.
func (a *app) twins(set *pflag.FlagSet) error {
	var errs []error
	set.VisitAll(func(f *pflag.Flag) {
		name := "SLIPWAY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if text, ok := a.env(name); ok && text != "" && !f.Changed {
			if err := set.Set(f.Name, text); err != nil {
				errs = append(errs, usagef("environment variable %s: %w", name, err))
			}
		}
	})
	return errors.Join(errs...)
}

// fileFlags adds the flags of commands that read a pipeline file.
func (a *app) fileFlags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVarP(&a.flags.file, "file", "f", "slipway.yaml", "the pipeline file")
	f.StringArrayVar(&a.flags.vars, "var", nil, "set a var: `NAME=VALUE`")
	f.StringArrayVar(&a.flags.varFiles, "var-file", nil, "set vars from a YAML `FILE` of names and values; --var wins, and of several files the last")
	return c
}

// planFlags adds the flags of commands that plan.
func (a *app) planFlags(c *cobra.Command) *cobra.Command {
	f := a.fileFlags(c).Flags()
	f.StringVarP(&a.flags.environment, "environment", "e", "", "where to go: one of the file's environments")
	_ = c.RegisterFlagCompletionFunc("environment", a.completeEnvironment)
	f.StringSliceVar(&a.flags.only, "only", nil, "these stages and what they need")
	f.BoolVar(&a.flags.rebuild, "rebuild", false, "build all images, also those that a registry holds for the same inputs")
	f.StringSliceVar(&a.flags.skip, "skip", nil, "leave out these stages, and what needs them")
	a.clusterFlags(c)
	return a.registryFlags(c)
}

// fromFlag adds the flag of commands that can start from a release.
func (a *app) fromFlag(c *cobra.Command) {
	c.Flags().StringVar(&a.flags.from, "from", "", "take what a `RELEASE` holds instead of making it again: a release.json, the id of a run in .slipway/runs, or a reference in a registry")
}

// noPushFlag adds the flag of commands that can do without handing anything over.
func (a *app) noPushFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.flags.noPush, "no-push", false, "build and test, and write to no registry and no cluster: the check of a pull request")
}

// clusterFlags adds the flags that kubectl has, too.
func (a *app) clusterFlags(c *cobra.Command) {
	a.contextFlags(c, "namespace of objects that name none")
	c.Flags().StringSliceVar(&a.flags.approve, "approve", nil, "risks that are taken: "+either(risks()))
	c.Flags().StringSliceVar(&a.flags.takeFrom, "take-from", nil, "field managers whose fields are taken over, such as kubectl-client-side-apply")
	c.Flags().StringVar(&a.flags.kubeVersion, "kube-version", "", "the `VERSION` of Kubernetes that manifests are checked for, such as 1.33 (default: the cluster's, or "+schema.Newest+")")
}

// contextFlags adds the flags that say which cluster, and which namespace of it.
func (a *app) contextFlags(c *cobra.Command, namespace string) {
	f := c.Flags()
	f.StringVar(&a.flags.kubeconfig, "kubeconfig", "", "path of the kubeconfig")
	f.StringVar(&a.flags.context, "context", "", "context of the kubeconfig")
	f.StringVarP(&a.flags.namespace, "namespace", "n", "", namespace)
	f.DurationVar(&a.flags.requestTimeout, "request-timeout", 30*time.Second, "how long one request to the cluster may take")
}

func (a *app) registryFlags(c *cobra.Command) *cobra.Command {
	c.Flags().StringSliceVar(&a.flags.plainHTTP, "plain-http", nil, "registries spoken to without TLS; those on loopback always are")
	return c
}

// runFlags adds the flags of commands that run stages.
func (a *app) runFlags(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.IntVar(&a.flags.parallel, "parallel", 0, "how many stages run at once; 0 means as many as can")
	f.StringVar(&a.flags.progress, "progress", "auto", "auto, tty, plain, github, rawjson or quiet")
	return a.builderFlags(c)
}

// outputFlag adds the flag that chooses how data is written: as text, or as one
// of formats.
func (a *app) outputFlag(c *cobra.Command, formats ...string) {
	formats = append([]string{"text"}, formats...)
	c.Flags().StringVarP(&a.flags.output, "output", "o", "text", either(formats))
	_ = c.Flags().SetAnnotation("output", "formats", formats) // the flag is there
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// checkOutput refuses a format that the command does not have.
func (a *app) checkOutput(c *cobra.Command) error {
	f := c.Flags().Lookup("output")
	if f == nil {
		return nil
	}
	formats := f.Annotations["formats"]
	if slices.Contains(formats, a.flags.output) {
		return nil
	}
	return usagef("--output %s%s (want %s)", a.flags.output, pipeline.Nearest(a.flags.output, formats), either(formats))
}

// either joins words as a sentence has them: "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// log returns the logger for developers.
func (a *app) log() *slog.Logger {
	if !a.flags.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(masked{a}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// mask returns a writer for text, which hides the secrets known by now.
func (a *app) mask(w io.Writer) io.Writer {
	if a.onGitHub() {
		w = github.Guard(w)
	}
	return a.hide(w)
}

// hide returns a writer for files, which hides the secrets known by now.
func (a *app) hide(w io.Writer) io.Writer { return report.MaskWriter(w, a.secrets...) }

// onGitHub reports whether the runner of GitHub Actions reads what we print.
func (a *app) onGitHub() bool {
	actions, _ := a.env("GITHUB_ACTIONS")
	switch a.flags.progress {
	case "github":
		return true
	case "", "auto":
		return actions == "true"
	}
	return false
}

// masked is stderr without the secrets that are known by now.
type masked struct{ *app }

func (m masked) Write(b []byte) (int, error) {
	return m.mask(m.stderr).Write(b)
}

// readSource returns the text of a file for an excerpt.
func readSource(file string) []byte {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return text
}
