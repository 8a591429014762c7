package pipeline

import "strings"

// A Registry says how one registry is spoken to.
type Registry struct {
	Host    string   // as references name it, with its port
	HTTP    bool     // without TLS
	Mirrors []string // where what it holds is looked for first: hosts, perhaps with a path
	PullAs  string   // what nodes call it, where that is another name; empty: the same
}

// Registries are those of which the file says something.
type Registries []Registry

// PlainHTTP returns the hosts that are spoken to without TLS.
func (r Registries) PlainHTTP() []string {
	var hosts []string
	for _, reg := range r {
		if reg.HTTP {
			hosts = append(hosts, reg.Host)
		}
	}
	return hosts
}

// Mirrors returns where what a registry holds is looked for first, by its host.
func (r Registries) Mirrors() map[string][]string {
	mirrors := map[string][]string{}
	for _, reg := range r {
		if len(reg.Mirrors) > 0 {
			mirrors[reg.Host] = reg.Mirrors
		}
	}
	return mirrors
}

// Pulled returns a reference, or a repository, as nodes are to pull it.
func (r Registries) Pulled(ref string) string {
	for _, reg := range r {
		if rest, ok := strings.CutPrefix(ref, reg.Host+"/"); ok && reg.PullAs != "" {
			return reg.PullAs + "/" + rest
		}
	}
	return ref
}
