//go:build linux

package embed

import (
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/gha"
	inline "github.com/moby/buildkit/cache/remotecache/inline"
	folder "github.com/moby/buildkit/cache/remotecache/local"
	registry "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/session"
)

// cacheExporters are the places where steps can be kept for other machines.
func cacheExporters(sessions *session.Manager, hosts docker.RegistryHosts) map[string]remotecache.ResolveCacheExporterFunc {
	return map[string]remotecache.ResolveCacheExporterFunc{
		"registry": registry.ResolveCacheExporterFunc(sessions, hosts),
		"local":    folder.ResolveCacheExporterFunc(sessions),
		"inline":   inline.ResolveCacheExporterFunc(),
		"gha":      gha.ResolveCacheExporterFunc(nil, nil),
	}
}

// cacheImporters are the places where steps can be had from.
func cacheImporters(sessions *session.Manager, blobs content.Store, hosts docker.RegistryHosts) map[string]remotecache.ResolveCacheImporterFunc {
	return map[string]remotecache.ResolveCacheImporterFunc{
		"registry": registry.ResolveCacheImporterFunc(sessions, blobs, hosts),
		"local":    folder.ResolveCacheImporterFunc(sessions),
		"gha":      gha.ResolveCacheImporterFunc(nil, nil),
	}
}
