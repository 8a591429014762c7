package solve

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"

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
// environment says. It reports whether it does.
//
// See https://docs.docker.com/build/cache/backends/gha/.
func (b *Builder) github(attrs map[string]string) bool {
	if b.Env == nil {
		return false
	}
	for attr, name := range map[string]string{"token": "ACTIONS_RUNTIME_TOKEN", "url": "ACTIONS_CACHE_URL", "url_v2": "ACTIONS_RESULTS_URL"} {
		if text, ok := b.Env(name); ok && text != "" && attrs[attr] == "" {
			attrs[attr] = text
		}
	}
	if attrs["url_v2"] != "" {
		attrs["version"] = "2"
	}
	return attrs["token"] != "" && attrs["url"]+attrs["url_v2"] != ""
}

// cacheLeftOut begins the warning that a cache has failed.
const cacheLeftOut = "the cache was left out: "

// cacheVertex finds the vertexes that speak with a cache. The build goes on when
// they fail.
var cacheVertex = regexp.MustCompile(`^(exporting cache to|importing cache manifest from) `)

// cacheFault is the warning that a cache has failed, or nil.
func cacheFault(v *client.Vertex) *buildkit.Warning {
	if v.Error == "" || !cacheVertex.MatchString(v.Name) {
		return nil
	}
	return &buildkit.Warning{Text: cacheLeftOut + v.Name + ": " + v.Error}
}

// cacheSetup finds the errors of caches that BuildKit could not even make out, in
// its words: nothing typed comes over the wire.
var cacheSetup = regexp.MustCompile(`failed to configure \w+ cache (ex|im)porter`)

// cacheRefused reports whether a build failed for its caches alone.
func cacheRefused(err error) bool { return cacheSetup.MatchString(err.Error()) }
