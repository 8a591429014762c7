package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// Which node a cluster has.
const (
	kwokNode    = "kwok"
	kubeletNode = "kubelet"
)

// nodeName is the name of a cluster's only node.
const nodeName = "node-0"

// settings are what a cluster was started with; its processes read them from DIR/run.
type settings struct {
	Node       string
	APIPort    int // every other port follows from it
	Registries []string
}

// defaultAPIPort leaves room between the two kinds, so that one of each can run at a time.
func defaultAPIPort(node string) int {
	if node == kubeletNode {
		return 17460
	}
	return 17440
}

func (s settings) validate() error {
	if s.Node != kwokNode && s.Node != kubeletNode {
		return fmt.Errorf("--node %q: want %s or %s", s.Node, kwokNode, kubeletNode)
	}
	if s.APIPort < 1024 || s.APIPort > 65500 {
		return fmt.Errorf("--api-port %d: want 1024 to 65500", s.APIPort)
	}
	for _, r := range s.Registries {
		host, port, err := net.SplitHostPort(r)
		if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || host != "127.0.0.1" && host != "localhost" {
			return fmt.Errorf("--registry %q: want 127.0.0.1:PORT or localhost:PORT", r)
		}
	}
	return nil
}

func (s settings) String() string {
	text := fmt.Sprintf("--node %s --api-port %d", s.Node, s.APIPort)
	for _, r := range s.Registries {
		text += " --registry " + r
	}
	return text
}

func (s settings) save(l layout) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.run("settings.json"), b, 0o644)
}

func loadSettings(l layout) (settings, error) {
	var s settings
	b, err := os.ReadFile(l.run("settings.json"))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// A port is one that a cluster listens on.
type port struct {
	what   string
	offset int
}

// The ports of a cluster, as distances from --api-port.
const (
	apiOffset = iota
	etcdOffset
	etcdPeerOffset
	controllersOffset
	schedulerOffset
	kubeletOffset
	kubeletHealthOffset
)

func (s settings) ports() []port {
	all := []port{
		{"API server", apiOffset},
		{"etcd", etcdOffset},
		{"etcd peers", etcdPeerOffset},
		{"controller manager", controllersOffset},
		{"scheduler", schedulerOffset},
	}
	if s.Node == kubeletNode {
		all = append(all, port{"kubelet", kubeletOffset}, port{"kubelet health", kubeletHealthOffset})
	}
	return all
}

// loopback is the address of one of the cluster's ports on 127.0.0.1.
func (s settings) loopback(offset int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.APIPort+offset))
}

// checkPorts says which ports are taken, before anything starts.
func (s settings) checkPorts() error {
	var taken []string
	for _, p := range s.ports() {
		l, err := net.Listen("tcp", s.loopback(p.offset))
		if err != nil {
			taken = append(taken, fmt.Sprintf("%s (%s)", s.loopback(p.offset), p.what))
			continue
		}
		l.Close()
	}
	if len(taken) > 0 {
		return fmt.Errorf("taken: %s (another cluster? choose --api-port; the ports are %d to %d)",
			strings.Join(taken, ", "), s.APIPort, s.APIPort+kubeletHealthOffset)
	}
	return nil
}
