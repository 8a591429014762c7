package solve

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/slipway-ci/slipway/buildkit"
)

// cacheOptions says where steps are kept, in BuildKit's words. A local cache that
// is not there yet has nothing to give; GitHub's is spoken to with what its
// runners give to actions.
func (b *Builder) cacheOptions(entries []buildkit.CacheEntry, warn func(error)) []client.CacheOptionsEntry {
	var all []client.CacheOptionsEntry
	for _, e := range entries {
		attrs := maps.Clone(e.Attrs)
		if attrs == nil {
			attrs = map[string]string{}
		}
		if src := attrs["src"]; e.Type == "local" && src != "" {
			if _, err := os.Stat(filepath.Join(src, "index.json")); err != nil {
				continue
			}
		}
		if dest := attrs["dest"]; e.Type == "local" && dest != "" {
			if err := os.MkdirAll(dest, 0o755); err != nil {
				warn(err)
				continue
			}
		}
		if e.Type == "gha" && !b.github(attrs) && e.Optional {
			continue
		}
		if e.Type != "inline" {
			attrs["ignore-error"] = "true"
		}
		all = append(all, client.CacheOptionsEntry{Type: e.Type, Attrs: attrs})
	}
	return all
}

// github fills in where GitHub's cache is and the token for it, as far as the
// environment says. It reports whether it does. Where the second version of the
// service is on, the first is not; it answers beside the results of jobs, which a
// GitHub Enterprise Server has without it.
//
// See https://docs.docker.com/build/cache/backends/gha/ and
// https://github.com/actions/toolkit/blob/main/packages/cache/src/internal/config.ts.
func (b *Builder) github(attrs map[string]string) bool {
	env := b.Env
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	set := func(attr, name string) {
		if text, ok := env(name); ok && text != "" && attrs[attr] == "" {
			attrs[attr] = text
		}
	}
	set("token", "ACTIONS_RUNTIME_TOKEN")
	second, _ := env("ACTIONS_CACHE_SERVICE_V2")
	if set("url", "ACTIONS_CACHE_URL"); second != "" || attrs["url"] == "" {
		set("url_v2", "ACTIONS_RESULTS_URL")
	}
	if attrs["url_v2"] != "" {
		attrs["version"] = "2"
	}
	if attrs["timeout"] == "" { // until it has been asked again and again
		attrs["timeout"] = githubTime.String()
	}
	return attrs["token"] != "" && attrs["url"]+attrs["url_v2"] != ""
}

// githubTime is how long a request is made again that GitHub has no time for.
const githubTime = time.Minute

// cacheLeftOut begins the warning that a cache has failed.
const cacheLeftOut = "the cache was left out: "

// cacheVertex finds the vertexes that speak with a cache. The build goes on when
// they fail.
var cacheVertex = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(exporting cache to|exporting to GitHub Actions Cache|importing cache manifest from)\b`)
})

// cacheFault is the warning that a cache has failed, or nil.
func cacheFault(v *client.Vertex) *buildkit.Warning {
	if v.Error == "" || !cacheVertex().MatchString(v.Name) {
		return nil
	}
	return &buildkit.Warning{Text: cacheLeftOut + v.Name + ": " + buildkit.Unsigned(v.Error)}
}

// cacheSetup finds the errors of caches that BuildKit could not even make out, in
// its words: nothing typed comes over the wire.
var cacheSetup = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`failed to configure \w+ cache (ex|im)porter`) })

// layerLost finds errors of layers that could not be had, in BuildKit's words. One
// of a cache is fetched when it is needed, long after the cache said that it has it.
var layerLost = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`failed to copy: |failed commit on ref |short read: |unsupported media type `)
})

// less takes from a build what may be to blame for its error, and reports whether
// there was something: caches that cannot be made out, those it imported, which
// promised a layer that is not there, and at last the builder's own, which took over
// the promise. A layer of a base may be to blame as well; then it is so without
// caches, too.
func less(opt *client.SolveOpt, imported bool, err error) bool {
	text := err.Error()
	ran := strings.Contains(text, "did not complete successfully")
	_, own := opt.FrontendAttrs["no-cache"]
	switch {
	case cacheSetup().MatchString(text) && len(opt.CacheExports)+len(opt.CacheImports) > 0:
		opt.CacheExports, opt.CacheImports = nil, nil
	case !imported || ran || own || !layerLost().MatchString(text):
		return false
	case len(opt.CacheImports) > 0:
		opt.CacheImports = nil
	default:
		opt.FrontendAttrs["no-cache"] = ""
	}
	return true
}
