package draft

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/slipway-ci/slipway/pipeline"
)

// YAML returns the pipeline file of what was found, with name as its name. The
// first line, which is for editors, names the schema at url.
func (d *Draft) YAML(name, url string) []byte {
	w := new(writer)
	w.line("# yaml-language-server: $schema=%s", url)
	w.line("# Drafted by slipway init, and yours from now on.")
	w.line("slipway: v1")
	w.line("name: %s", quoted(name))
	if len(d.Builds)+len(d.Deploys) == 0 {
		w.text(starter)
		return w.Bytes()
	}
	if len(d.pushed()) > 0 {
		w.line("\nvars:")
		w.line("  # Where images go. Set it with IMAGE_REGISTRY, or with --var registry=…")
		w.line("  registry: {default: %s, env: IMAGE_REGISTRY, description: where images go}", quoted(d.registry(name)))
	}
	d.environments(w)
	w.line("\nstages:")
	for i, b := range d.Builds {
		if i > 0 {
			w.line("")
		}
		d.build(w, b)
	}
	for i, dep := range d.Deploys {
		if i+len(d.Builds) > 0 {
			w.line("")
		}
		d.deploy(w, dep)
	}
	return w.Bytes()
}

const starter = `
stages:
  # A stage has one kind. This one builds the Dockerfile in this folder; with
  # push: its image goes into a repository.
  app:
    build:
      context: .
      # push: {repository: ghcr.io/acme/app, tags: ["${{ git.slug }}"]}

  # This would run the image before anything is rolled out:
  # unit:
  #   exec: {image: "${{ stages.app.image }}", command: [/app, --selftest]}

  # And this would roll it out, and stay until it is proven what runs:
  # rollout:
  #   needs: [unit]
  #   deploy:
  #     kustomize: deploy
  #     images: {app: "${{ stages.app.image }}"}   # by repository, as it stands in the manifests
`

type writer struct{ bytes.Buffer }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
func (w *writer) text(s string)                   { w.WriteString(s) }

// environments writes where runs may go.
func (d *Draft) environments(w *writer) {
	var envs []Environment
	for _, dep := range d.Deploys {
		for _, e := range dep.Environments {
			if !slices.ContainsFunc(envs, func(o Environment) bool { return o.Name == e.Name }) {
				envs = append(envs, e)
			}
		}
	}
	if len(envs) == 0 {
		return
	}
	w.line("\n# Where runs may go: slipway run -e %s. To make sure that each goes to its own", envs[0].Name)
	w.line("# cluster: slipway environments bind %s", envs[0].Name)
	w.line("environments:")
	for _, e := range envs {
		if e.Namespace == "" {
			w.line("  %s: {}", e.Name)
			continue
		}
		w.line("  %s: {namespace: %s}", e.Name, quoted(e.Namespace))
	}
}

// pushed returns the builds whose images are needed outside of the builder: all
// but those that are only there to be built on.
func (d *Draft) pushed() []string {
	var ids []string
	for _, b := range d.Builds {
		base := slices.ContainsFunc(d.Builds, func(o Build) bool { return slices.Contains(o.Bases, b.ID) })
		used := slices.ContainsFunc(d.Deploys, func(dep Deploy) bool {
			for _, id := range d.images(dep) {
				if id == b.ID {
					return true
				}
			}
			return false
		})
		if !base || used {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

func (d *Draft) build(w *writer, b Build) {
	w.line("  # from %s", printable(b.From))
	w.line("  %s:", b.ID)
	w.line("    build:")
	w.line("      context: %s", quoted(b.Context))
	if b.Dockerfile != "" {
		w.line("      dockerfile: %s", quoted(b.Dockerfile))
	}
	if b.Target != "" {
		w.line("      target: %s", quoted(b.Target))
	}
	if len(b.Args) > 0 {
		w.line("      args:")
		for _, a := range b.Args {
			w.line("        %s: %s", quoted(a.Name), quoted(a.Value))
		}
	}
	if len(b.Bases) > 0 {
		w.line("      contexts:                              # what FROM means")
		for _, base := range b.Bases {
			w.line("        %s: %s", base, image(base))
		}
	}
	if slices.Contains(d.pushed(), b.ID) {
		w.line(`      push: "${{ vars.registry }}/%s"`, underscores().ReplaceAllString(b.ID, "-"))
	}
}

func (d *Draft) deploy(w *writer, dep Deploy) {
	found := d.images(dep)
	w.line("  # applies, waits, and proves that pods run what was built")
	w.line("  %s:", dep.ID)
	w.line("    timeout: 10m")
	w.line("    deploy:")
	dir := quoted(dep.Dir)
	if len(dep.Environments) > 0 {
		dir = `"` + strings.Trim(quoted(path.Clean(dep.Dir)), `"`) + `/${{ environment.name }}"`
	}
	w.line("      kustomize: %s", dir)
	if len(found) > 0 {
		w.line("      images:                                # by repository, as it stands in the manifests")
		for _, name := range pipeline.Keys(found) {
			w.line("        %s: %s", quoted(name), image(found[name]))
		}
	} else if len(d.Builds) > 0 {
		w.line("      # No container was seen to run what is built above. If one does:")
		w.line("      # images: {ITS-REPOSITORY: %s}", image(d.Builds[0].ID))
	}
}

// image returns the expression that is the image of a stage.
func image(id string) string {
	if strings.Contains(id, "-") {
		return `"${{ stages['` + id + `'].image }}"`
	}
	return `"${{ stages.` + id + `.image }}"`
}

var (
	safe        = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z./_][A-Za-z0-9./_-]*$`) })
	underscores = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`_+`) })
	spoken      = []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
)

// printable returns text for a comment, on one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// quoted returns text as YAML has it, with what would be an expression as text.
func quoted(s string) string {
	if safe().MatchString(s) && !slices.Contains(spoken, strings.ToLower(s)) && !strings.HasPrefix(s, ".") || s == "." {
		return s
	}
	return strings.ReplaceAll(strconv.QuoteToASCII(s), "${{", "$${{")
}
