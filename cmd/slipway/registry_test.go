package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the registry keeps beside a pipeline file is part of no build context, which
// would change by each push, and of no commit.
func TestRegistryFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	a := &app{stdin: strings.NewReader(""), stdout: in, stderr: in, env: func(string) (string, bool) { return "", false }}
	ended := make(chan int, 1)
	go func() { ended <- a.main(ctx, []string{"registry", "serve", "--addr", "127.0.0.1:0"}) }()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	host := strings.TrimSpace(strings.TrimPrefix(line, "registry listens on "))
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("a")))
	answer, err := http.Post("http://"+host+"/v2/app/blobs/uploads/?digest="+digest, "application/octet-stream", strings.NewReader("a"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("the push is answered by %s", answer.Status)
	}
	stop()
	<-ended
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 1 || entries[0].Name() != ".slipway" {
		t.Errorf("got %v, want .slipway alone: %v", entries, err)
	}
	if kept, err := os.ReadDir(filepath.Join(".slipway", "registry")); err != nil || len(kept) == 0 {
		t.Errorf("nothing is kept: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(".slipway", ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf("git takes it along: %q, %v", text, err)
	}
	var said strings.Builder
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".slipway", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a = &app{stdin: strings.NewReader(""), stdout: &said, stderr: &said, env: a.env}
	if code := a.main(t.Context(), []string{"registry", "serve", "--addr", "127.0.0.1:0"}); code != exitUsage || !strings.Contains(said.String(), "name one with --dir") {
		t.Errorf("where .slipway is a file: exit code %d, %s", code, &said)
	}
}
