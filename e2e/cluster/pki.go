package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// authority is the one CA of a cluster. It signs certificates for serving and for clients.
type authority struct {
	layout layout
	cert   *x509.Certificate
	key    crypto.Signer
	pem    []byte
	serial int64
}

// writePKI makes a CA, the certificates and keys of all components, and their kubeconfigs.
func writePKI(l layout, s settings) error {
	if err := os.MkdirAll(l.pki(""), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(l)
	if err != nil {
		return err
	}
	if err := ca.serviceAccountKeys(); err != nil {
		return err
	}
	for _, c := range []struct {
		file, name string
		groups     []string
		hosts      []string
	}{
		{"apiserver", "kube-apiserver", nil, []string{
			"127.0.0.1", "localhost", serviceIP, nodeIP,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{"apiserver-to-kubelet", "kube-apiserver-kubelet-client", []string{"system:masters"}, nil},
		{"kubelet", "system:node:" + nodeName, []string{"system:nodes"}, []string{nodeIP, nodeName}},
	} {
		if err := ca.issue(c.file, c.name, c.groups, c.hosts); err != nil {
			return err
		}
	}
	for _, c := range []struct{ file, name, group string }{
		{l.kubeconfig(), "admin", "system:masters"},
		// A master, because it then needs no ServiceAccount for each controller: 5 s faster.
		{l.pki("controllers.kubeconfig"), "system:kube-controller-manager", "system:masters"},
		{l.pki("scheduler.kubeconfig"), "system:kube-scheduler", ""},
		{l.pki("kubelet.kubeconfig"), "system:node:" + nodeName, "system:nodes"},
	} {
		if err := ca.kubeconfig(c.file, "https://"+s.loopback(apiOffset), c.name, c.group); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(l layout) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "slipway-cluster"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	ca := &authority{layout: l, key: key, cert: cert, serial: 1}
	ca.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(l.pki("ca.crt"), ca.pem, 0o600); err != nil {
		return nil, err
	}
	return ca, writeKey(l.pki("ca.key"), key)
}

// sign makes a key and a certificate that is good for serving and for clients.
func (ca *authority) sign(name string, groups, hosts []string) (certPEM []byte, key *ecdsa.PrivateKey, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	ca.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(ca.serial), Subject: pkix.Name{CommonName: name, Organization: groups},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

// issue writes file.crt and file.key.
func (ca *authority) issue(file, name string, groups, hosts []string) error {
	cert, key, err := ca.sign(name, groups, hosts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(ca.layout.pki(file+".crt"), cert, 0o600); err != nil {
		return err
	}
	return writeKey(ca.layout.pki(file+".key"), key)
}

// kubeconfig writes a self-contained kubeconfig for a user; an empty group means none.
func (ca *authority) kubeconfig(file, server, name, group string) error {
	var groups []string
	if group != "" {
		groups = []string{group}
	}
	cert, key, err := ca.sign(name, groups, nil)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	return os.WriteFile(file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: slipway-cluster
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %q
  user: {client-certificate-data: %s, client-key-data: %s}
contexts:
- name: slipway-cluster
  context: {cluster: slipway-cluster, user: %q}
current-context: slipway-cluster
`, server, b64(ca.pem), name, b64(cert), b64(keyPEM), name), 0o600)
}

// serviceAccountKeys writes sa.key, which signs tokens, and sa.pub, which checks them.
func (ca *authority) serviceAccountKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(ca.layout.pki("sa.key"), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return os.WriteFile(ca.layout.pki("sa.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	b, err := encodeKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
