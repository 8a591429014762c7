package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/docs"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/report"
)

func (a *app) explain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain [CODE | pod/NAME]",
		Short: "Say what an error code means, or where a pod comes from",
		Example: `  slipway explain                 # lists the codes
  slipway explain secret-flow
  slipway explain vars -e staging # where values of vars come from
  slipway explain pod/web-5d4f8c7b9-x2x4z -n shop # deployment, revision, commit and run`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return codeNames(docs.Codes()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			codes := docs.Codes()
			if len(args) == 0 {
				return a.listCodes(codes)
			}
			if len(args) > 1 {
				return noArgs(c, args[1:])
			}
			if pod, ok := strings.CutPrefix(args[0], "pod/"); ok {
				return a.explainPod(c.Context(), pod)
			}
			i := slices.IndexFunc(codes, func(c docs.Code) bool { return c.Name == args[0] })
			if i < 0 {
				return usagef("no error code is called %q%s (see slipway explain for all)", args[0], pipeline.Nearest(args[0], append(codeNames(codes), "vars")))
			}
			if a.flags.output == "json" {
				return encode(a.stdout, codes[i])
			}
			return explainCode(a.stdout, codes[i])
		},
	}
	c.AddCommand(a.explainVars())
	a.contextFlags(c, "namespace of the pod (default: that of the context)")
	a.outputFlag(c, "json")
	return c
}

func codeNames(codes []docs.Code) []string {
	var names []string
	for _, c := range codes {
		names = append(names, c.Name)
	}
	return names
}

func (a *app) listCodes(codes []docs.Code) error {
	if a.flags.output == "json" {
		return encode(a.stdout, codes)
	}
	wide := 0
	for _, c := range codes {
		wide = max(wide, len(c.Name))
	}
	topic := ""
	for _, c := range codes {
		if c.Topic != topic {
			topic = c.Topic
			fmt.Fprintln(a.stdout, topic)
		}
		fmt.Fprintf(a.stdout, "  %-*s  %s\n", wide, c.Name, c.Short())
	}
	return nil
}

// explainCode writes what there is to know about a code, for a person.
func explainCode(w io.Writer, c docs.Code) error {
	var b strings.Builder
	b.WriteString(c.Name + "\n\n" + c.Plain() + "\n")
	example := func(head, text string) {
		if text == "" {
			return
		}
		b.WriteString("\n" + head + "\n\n")
		for line := range strings.Lines(text) {
			b.WriteString("    " + line)
		}
	}
	example("Wrong:", c.Wrong)
	example("Right:", c.Right)
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *app) explainVars() *cobra.Command {
	c := &cobra.Command{
		Use:   "vars",
		Short: "Show the value of each var and what set it",
		Long: `Vars shows the value of each var and what set it. The last of these that sets
one wins: its default, the environment's vars, its environment variable, --var-file,
--var.
Without -e, no environment sets any. Secrets are hidden.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := a.load(a.world().tools)
			if err != nil {
				return err
			}
			var env pipeline.Environment
			if a.flags.environment != "" {
				if env, err = a.chosen(p); err != nil {
					return err
				}
			}
			out, err := a.outside()
			if err != nil {
				return err
			}
			found, unset := p.Settings(env, out)
			var settings []pipeline.Setting
			for _, v := range p.Vars {
				s := pipeline.Setting{Var: v} // nothing sets it, or not to what it can be
				if i := slices.IndexFunc(found, func(s pipeline.Setting) bool { return s.Var.Name == v.Name }); i >= 0 {
					s = found[i]
				}
				if text, ok := s.Value.(string); ok && v.Type == pipeline.Secret {
					a.secrets = append(a.secrets, text)
				}
				settings = append(settings, s)
			}
			if a.flags.output == "json" {
				if unset != nil {
					return unset
				}
				return report.VarsJSON(a.mask(a.stdout), settings)
			}
			return errors.Join(report.Vars(a.mask(a.stdout), settings), unset)
		},
	}
	c.Flags().StringVarP(&a.flags.environment, "environment", "e", "", "one of the file's environments")
	_ = c.RegisterFlagCompletionFunc("environment", a.completeEnvironment)
	a.outputFlag(c, "json")
	return a.fileFlags(c)
}

// encode writes v as JSON that people can read, too.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// explained returns the first code of err that there is more to say about.
func explained(err error) string {
	var list pipeline.ErrorList
	var one *pipeline.Error
	if !errors.As(err, &list) && errors.As(err, &one) {
		list = pipeline.ErrorList{one}
	}
	known := codeNames(docs.Codes())
	for _, e := range list {
		if slices.Contains(known, e.Code) {
			return e.Code
		}
	}
	return ""
}
