package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodelease "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/utils/client"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
)

// podStages says when the status of a fake pod changes; fake_pod.go says to what.
//
//go:embed fake_pod.yaml
var podStages string

// runFakeNode registers a node and plays its kubelet until ctx ends.
func runFakeNode(ctx context.Context, l layout, _ settings) error {
	stages, err := fakeStages()
	if err != nil {
		return err
	}
	clients, err := client.NewClientset("", l.kubeconfig())
	if err != nil {
		return err
	}
	config, err := clients.ToRESTConfig()
	if err != nil {
		return err
	}
	dynamic, err := clients.ToDynamicClient()
	if err != nil {
		return err
	}
	mapper, err := clients.ToRESTMapper()
	if err != nil {
		return err
	}
	restClient, err := rest.RESTClientFor(config)
	if err != nil {
		return err
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := typed.CoreV1().Nodes().Create(ctx, fakeNode(), metav1.CreateOptions{}); err != nil {
		return err
	}
	node, err := kwok.NewController(kwok.Config{
		ID: "slipway-cluster", Clock: clock.RealClock{},
		DynamicClient: dynamic, RESTClient: restClient, RESTMapper: mapper, TypedClient: typed,
		ManageAllNodes: true, LocalStages: stages,
		CIDR: fakePodCIDR, NodeIP: nodeIP,
		PodPlayStageParallelism: 4, NodePlayStageParallelism: 1,
		NodeLeaseDurationSeconds: 40, NodeLeaseParallelism: 1, PodsOnNodeSyncParallelism: 1,
		FuncMap: gotpl.FuncMap{"PodStatus": renderStatus},
	})
	if err != nil {
		return err
	}
	if err := node.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func fakeNode() *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   resource.MustParse("1000"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        nodeName,
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels: map[string]string{
				corev1.LabelHostname: nodeName, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			},
		},
		Status: corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
}

// fakeStages reads kwok's own stages of a node and ours of a pod.
func fakeStages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	stages := map[internalversion.StageResourceRef][]*internalversion.Stage{}
	for _, text := range append(strings.Split(podStages, "\n---\n"), nodefast.DefaultNodeInit, nodelease.DefaultNodeHeartbeatWithLease) {
		stage, err := kwokconfig.UnmarshalWithType[*internalversion.Stage](text)
		if err != nil {
			return nil, fmt.Errorf("stage: %w", err)
		}
		stages[stage.Spec.ResourceRef] = append(stages[stage.Spec.ResourceRef], stage)
	}
	return stages, nil
}

// renderStatus is called by the templates in fake_pod.yaml. It returns JSON.
func renderStatus(step string, object any, podIP string) (string, error) {
	b, err := json.Marshal(object)
	if err != nil {
		return "", err
	}
	var pod corev1.Pod
	if err := json.Unmarshal(b, &pod); err != nil {
		return "", err
	}
	b, err = json.Marshal(nextStatus(step, &pod, podIP, metav1.NewTime(time.Now())))
	return string(b), err
}
