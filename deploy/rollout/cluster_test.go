package rollout

import "github.com/slipway-ci/slipway/deploy/kube"

var (
	_ Cluster = (*kube.Cluster)(nil)
	_ Logs    = (*kube.Cluster)(nil)
	_ Cluster = (*fakeCluster)(nil)
	_ Logs    = (*fakeCluster)(nil)
)
