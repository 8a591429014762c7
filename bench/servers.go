package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// registry starts an empty registry, the one of the distribution project: what it
// costs is nobody's, for it is the same for all.
func (b *Bench) registry(ctx context.Context) (string, error) {
	addr, err := free()
	if err != nil {
		return "", err
	}
	config := filepath.Join(b.Dir, "registry.yaml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %s, debug: {addr: \"\"}}\n", filepath.Join(b.Dir, "registry"), addr)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return "", err
	}
	_, err = b.start(ctx, "registry", func() error {
		answer, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			answer.Body.Close()
		}
		return err
	}, filepath.Join(b.Peers, "registry"), "serve", config)
	return addr, err
}

// A builder is a buildkitd with a state of its own.
type builder struct {
	*Daemon
	addr string
}

// buildkitd starts one, as its documentation says for a machine without containerd. What
// it keeps is in a folder, or in the bench's.
func (b *Bench) buildkitd(ctx context.Context, registry string, in ...string) (*builder, error) {
	b.groups++
	dir := filepath.Join(append(in, b.Dir)[0], fmt.Sprintf("buildkitd%d", b.groups))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "buildkitd.toml")
	text := fmt.Sprintf("[registry.%q]\n  http = true\n[worker.oci]\n  snapshotter = \"overlayfs\"\n", registry)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	own := &builder{addr: "unix://" + filepath.Join(dir, "sock")}
	var err error
	own.Daemon, err = b.start(ctx, filepath.Base(dir), func() error {
		return exec.Command(filepath.Join(b.Peers, "buildctl"), "--addr", own.addr, "debug", "workers").Run()
	}, filepath.Join(b.Peers, "buildkitd"), "--config", config, "--root", filepath.Join(dir, "root"), "--addr", own.addr, "--oci-worker=true", "--containerd-worker=false")
	return own, err
}

// do runs what is not measured.
func (b *Bench) do(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out[max(0, len(out)-2000):])
	}
	return nil
}

const manifests = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// An image is the digests of the files in it, by path, and the number of its layers.
type image struct {
	layers int
	files  map[string]string
}

// pull reads an image from the registry.
func pull(ctx context.Context, registry, repository, tag string) (image, error) {
	get := func(path string) (*http.Response, error) {
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+registry+"/v2/"+repository+"/"+path, nil)
		if err != nil {
			return nil, err
		}
		ask.Header.Set("Accept", manifests)
		answer, err := http.DefaultClient.Do(ask)
		if err == nil && answer.StatusCode != http.StatusOK {
			answer.Body.Close()
			err = fmt.Errorf("%s: %s", path, answer.Status)
		}
		return answer, err
	}
	var manifest struct {
		Manifests, Layers []struct{ Digest, MediaType string }
	}
	answer, err := get("manifests/" + tag)
	if err != nil {
		return image{}, err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&manifest); err != nil {
		return image{}, err
	}
	if len(manifest.Manifests) > 0 {
		return pull(ctx, registry, repository, manifest.Manifests[0].Digest)
	}
	got := image{layers: len(manifest.Layers), files: map[string]string{}}
	for _, l := range manifest.Layers {
		if !strings.HasSuffix(l.MediaType, "gzip") {
			return image{}, fmt.Errorf("layers of %s are not compared", l.MediaType)
		}
		answer, err := get("blobs/" + l.Digest)
		if err != nil {
			return image{}, err
		}
		defer answer.Body.Close()
		if err := got.add(answer.Body); err != nil {
			return image{}, err
		}
	}
	return got, nil
}

func (i image) add(layer io.Reader) error {
	plain, err := gzip.NewReader(layer)
	if err != nil {
		return err
	}
	for files := tar.NewReader(plain); ; {
		head, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, files); err != nil {
			return err
		}
		i.files[strings.TrimPrefix(strings.Trim(head.Name, "/"), "./")] = fmt.Sprintf("%c %x %s", head.Typeflag, hash.Sum(nil), head.Linkname)
	}
}

// digest asks the registry what the tag latest stands for.
func digest(ctx context.Context, registry, repository string) (string, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+registry+"/v2/"+repository+"/manifests/latest", nil)
	if err != nil {
		return "", err
	}
	ask.Header.Set("Accept", manifests)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return "", err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", repository, answer.Status)
	}
	return answer.Header.Get("Docker-Content-Digest"), nil
}

// sameImages says whether two images hold the same files in as many layers.
func sameImages(ctx context.Context, registry, a, b string) error {
	left, err := pull(ctx, registry, a, "latest")
	if err != nil {
		return err
	}
	right, err := pull(ctx, registry, b, "latest")
	if err != nil {
		return err
	}
	if left.layers != right.layers {
		return fmt.Errorf("%s has %d layers, and %s %d", a, left.layers, b, right.layers)
	}
	for name, hash := range left.files {
		if right.files[name] != hash {
			return fmt.Errorf("%s is %q in %s, and %q in %s", name, hash, a, right.files[name], b)
		}
	}
	if len(left.files) != len(right.files) || len(left.files) == 0 {
		return fmt.Errorf("%s has %d files, and %s %d", a, len(left.files), b, len(right.files))
	}
	return nil
}
