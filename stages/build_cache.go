package stages

import (
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Cache says where the steps of a build are kept beyond the builder.
type Cache struct {
	Mode       string       `yaml:"mode,short" enum:"auto,none" doc:"auto: repository, if it is set, and GitHub's cache inside of GitHub Actions. Default: auto."`
	Repository string       `yaml:"repository" doc:"Where auto keeps steps: a tag for each stage."`
	From       []CacheEntry `yaml:"from" doc:"Where steps are taken from, in place of auto."`
	To         []CacheEntry `yaml:"to" doc:"Where steps are kept, in place of auto."`
}

// A CacheEntry is one cache.
type CacheEntry struct {
	Type  string `yaml:"type,required,short" enum:"registry,local,inline,gha" doc:"registry, local, inline, or gha for GitHub's."`
	Ref   string `yaml:"ref" doc:"Of registry: where it lies, such as ghcr.io/acme/cache:web."`
	Path  string `yaml:"path" doc:"Of local: the folder."`
	Scope string `yaml:"scope" doc:"Of gha: its name. Default: the pipeline's and the stage's."`
	Mode  string `yaml:"mode" enum:"min,max" doc:"Which steps are kept: those of the image, or all. Default: max."`
}

func (c Cache) check(field string) []error {
	errs := oneOf(field+".mode", c.Mode, "auto", "none")
	if c.Repository != "" && !written(c.Repository) && !repositoryPattern().MatchString(c.Repository) {
		errs = append(errs, badRepository(field+".repository", c.Repository))
	}
	if c.Mode == "none" && (c.Repository != "" || len(c.From)+len(c.To) > 0) {
		errs = append(errs, wrong(field+".mode", "none leaves nothing to be kept (leave out the rest, or mode)"))
	}
	for name, list := range map[string][]CacheEntry{"from": c.From, "to": c.To} {
		for i, e := range list {
			errs = append(errs, e.check(at(field+"."+name, i), name)...)
		}
	}
	return errs
}

func (e CacheEntry) check(field, way string) []error {
	errs := oneOf(field+".type", e.Type, "registry", "local", "inline", "gha")
	errs = append(errs, oneOf(field+".mode", e.Mode, "min", "max")...)
	switch {
	case e.Type == "registry" && e.Ref == "":
		errs = append(errs, wrong(field, "a cache in a registry needs ref: (such as ghcr.io/acme/cache:web)"))
	case e.Type == "local" && e.Path == "":
		errs = append(errs, wrong(field, "a local cache needs path: (a folder)"))
	case e.Type == "inline" && way == "from":
		errs = append(errs, wrong(field, "what is inline is taken from the image's repository (want type: registry and its ref)"))
	}
	return errs
}

// spec says where steps are taken from and kept in sc.
func (c Cache) spec(sc pipeline.Scope) buildkit.Cache {
	var out buildkit.Cache
	switch {
	case c.Mode == "none":
		return out
	case len(c.From)+len(c.To) > 0:
		for _, e := range c.From {
			out.From = append(out.From, e.spec(sc, "src"))
		}
		for _, e := range c.To {
			out.To = append(out.To, e.spec(sc, "dest"))
		}
		return out
	}
	if c.Repository != "" {
		e := CacheEntry{Type: "registry", Ref: c.Repository + ":" + pipeline.Slug("slipway-cache-"+string(sc.Step))}
		out.From, out.To = append(out.From, e.spec(sc, "src")), append(out.To, e.spec(sc, "dest"))
	}
	if ci, ok := sc.Facts["ci"].(map[string]any); ok && ci["name"] == "github" {
		e := CacheEntry{Type: "gha"}.spec(sc, "")
		e.Optional = true
		out.From, out.To = append(out.From, e), append(out.To, e)
	}
	return out
}

func (e CacheEntry) spec(sc pipeline.Scope, path string) buildkit.CacheEntry {
	attrs := map[string]string{}
	switch e.Type {
	case "registry":
		attrs["ref"] = e.Ref
		if path == "dest" { // what registries take that know nothing of caches
			attrs["image-manifest"], attrs["oci-mediatypes"] = "true", "true"
		}
	case "local":
		attrs[path] = within(sc.Dir, e.Path)
	case "gha":
		attrs["scope"] = e.Scope
		if e.Scope == "" {
			attrs["scope"] = sc.Pipeline + "/" + string(sc.Step)
		}
	}
	if e.Type != "inline" && path != "src" {
		attrs["mode"] = "max"
		if e.Mode != "" {
			attrs["mode"] = e.Mode
		}
	}
	return buildkit.CacheEntry{Type: e.Type, Attrs: attrs}
}

// Attest says which statements are made about an image.
type Attest struct {
	Provenance string `yaml:"provenance" enum:"none,min,max" doc:"How it was built, in SLSA's words: min, or max with all that BuildKit knows. Default: none."`
	SBOM       string `yaml:"sbom" doc:"What it is made of: true, or the image of a scanner."`
}

// scanner is what BuildKit's own tools use.
//
// See https://docs.docker.com/build/metadata/attestations/sbom/.
const scanner = "docker.io/docker/buildkit-syft-scanner:stable-1"

func (a Attest) check(field string) []error {
	errs := oneOf(field+".provenance", a.Provenance, "none", "min", "max")
	if s := a.SBOM; s != "" && s != "true" && s != "false" && !written(s) && !strings.ContainsAny(s, "/:") {
		errs = append(errs, wrong(field+".sbom", "want true, or the image of a scanner such as "+scanner))
	}
	return errs
}

func (a Attest) spec() buildkit.Attest {
	out := buildkit.Attest{Provenance: a.Provenance, SBOM: a.SBOM}
	if out.Provenance == "none" {
		out.Provenance = ""
	}
	switch a.SBOM {
	case "true":
		out.SBOM = scanner
	case "false":
		out.SBOM = ""
	}
	return out
}
