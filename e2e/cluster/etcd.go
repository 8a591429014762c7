package main

import (
	"context"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd runs one etcd member on loopback and closes ready when it serves. It does not fsync:
// its data is thrown away.
func runEtcd(ctx context.Context, l layout, s settings, ready chan<- struct{}) error {
	config := embed.NewConfig()
	config.Dir = l.run("etcd")
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{"stderr"}
	config.ListenClientUrls = []url.URL{{Scheme: "http", Host: s.loopback(etcdOffset)}}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: s.loopback(etcdPeerOffset)}}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer etcd.Close()
	served := etcd.Server.ReadyNotify()
	for {
		select {
		case <-served:
			close(ready)
			served = nil
		case err := <-etcd.Err():
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
