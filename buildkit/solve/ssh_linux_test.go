package solve_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/slipway-ci/slipway/buildkit"
)

// signer is the name under which this binary is what a RUN asks an agent with.
const signer = "sign"

// sign asks the agent of $SSH_AUTH_SOCK which keys it has, lets each of them sign a
// text, and tries to take them away.
func sign(text string) error {
	conn, err := new(net.Dialer).Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		return err
	}
	defer conn.Close()
	a := agent.NewClient(conn)
	keys, err := a.List()
	if err != nil {
		return err
	}
	for _, key := range keys {
		s, err := a.Sign(key, []byte(text))
		if err != nil {
			return err
		}
		fmt.Printf("signed by=%s with=%s\n", base64.StdEncoding.EncodeToString(key.Marshal()), base64.StdEncoding.EncodeToString(s.Blob))
	}
	_ = a.RemoveAll() // the test looks whether they are still there
	return nil
}

// newKey makes a key, and returns it with what verifies its signatures.
func newKey(t *testing.T) (ed25519.PrivateKey, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return private, key
}

// serveAgent serves an agent with a key, and returns it and its socket.
func serveAgent(t *testing.T, key ed25519.PrivateKey) (ring agent.Agent, socket string) {
	t.Helper()
	ring = agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		t.Fatal(err)
	}
	lis, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "agent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = agent.ServeAgent(ring, conn)
			}()
		}
	}()
	return ring, lis.Addr().String()
}

// TestSSH lets each RUN sign with what its mount names: the key of an agent, or of a
// file. A RUN without the mount has none, and neither has the image.
func TestSSH(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t)
	base, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	inAgent, forAgent := newKey(t)
	inFile, forFile := newKey(t)
	block, err := ssh.MarshalPrivateKey(inFile, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	ring, socket := serveAgent(t, inAgent)
	text := rand.Text()
	run := "RUN --mount=type=bind,source=" + signer + ",target=/" + signer + " --mount=type=ssh"
	spec := withBase(t, base, buildkit.Spec{
		Args: map[string]string{"TEXT": text},
		SSH:  map[string]string{"default": socket, "deploy": file},
	}, "ARG TEXT\n"+run+" /sign $TEXT\n"+run+",id=deploy,required=true,target=/a.sock,mode=0600 test $SSH_AUTH_SOCK = /a.sock && stat -c %a /a.sock && /sign $TEXT\n"+
		"RUN test -z \"$SSH_AUTH_SOCK\" && ! test -e /run/buildkit\n", map[string]string{signer + "!": string(program)})
	_, r := build(t, b, spec)
	var by []string
	for line := range strings.Lines(r.log()) {
		var key, signature string
		if n, _ := fmt.Sscanf(line, "signed by=%s with=%s", &key, &signature); n != 2 {
			continue
		}
		by = append(by, key)
		for _, public := range []ssh.PublicKey{forAgent, forFile} {
			blob, err := base64.StdEncoding.DecodeString(signature)
			if key == base64.StdEncoding.EncodeToString(public.Marshal()) && (err != nil || public.Verify([]byte(text), &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: blob}) != nil) {
				t.Errorf("this is no signature of %s: %s", text, line)
			}
		}
	}
	want := []string{base64.StdEncoding.EncodeToString(forAgent.Marshal()), base64.StdEncoding.EncodeToString(forFile.Marshal())}
	if strings.Join(by, " ") != strings.Join(want, " ") || !strings.Contains(r.log(), "600\n") {
		t.Errorf("signed by %v, want the key of the agent and then that of the file, %v\n%s", by, want, r.log())
	}
	if keys, err := ring.List(); err != nil || len(keys) != 1 {
		t.Errorf("a build took away the keys of its user's agent: %v %v", keys, err)
	}

	spec.SSH, spec.Args["TEXT"] = map[string]string{"default": socket}, "another" // else it is cached
	if _, err := b.Build(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "ssh") {
		t.Errorf("without the key that is required: %v", err)
	}
}
