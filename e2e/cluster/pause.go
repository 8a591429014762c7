package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"
)

// pauseImage is what holds a pod's namespaces. It is in no registry: importPause puts it into
// containerd.
const pauseImage = "slipway.invalid/pause:1"

// importPause loads the pause image and marks it as one that is never collected.
func importPause(ctx context.Context) error {
	archive, err := pauseArchive()
	if err != nil {
		return err
	}
	ctr := func(stdin []byte, args ...string) error {
		cmd := exec.CommandContext(ctx, "ctr", append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("pause image: ctr %s: %s: %w", args[1], bytes.TrimSpace(out), err)
		}
		return nil
	}
	if err := ctr(archive, "images", "import", "-"); err != nil {
		return err
	}
	return ctr(nil, "images", "label", pauseImage, "io.cri-containerd.pinned=pinned")
}

// pauseELF is a whole static program for x86-64, made by hand: for(;;) pause().
func pauseELF() ([]byte, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the pause program is written for amd64 alone, this is %s", runtime.GOARCH)
	}
	code := []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // mov eax, 34; syscall; jmp to the start
	const base, header = 0x400000, 64 + 56
	size := uint64(header + len(code))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, field := range []any{
		[]uint16{2, 62},                // executable, x86-64
		uint32(1),                      // version
		[]uint64{base + header, 64, 0}, // entry, program headers, section headers
		uint32(0),                      // flags
		[]uint16{64, 56, 1, 64, 0, 0},  // sizes
		[]uint32{1, 5},                 // load, readable and executable
		[]uint64{0, base, base, size, size, 0x1000}, // offset, addresses, sizes, alignment
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			return nil, err
		}
	}
	b.Write(code)
	return b.Bytes(), nil
}

// pauseArchive is the image as docker save would write it.
func pauseArchive() ([]byte, error) {
	program, err := pauseELF()
	if err != nil {
		return nil, err
	}
	layer, err := tarOf(map[string][]byte{"pause": program}, "pause")
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/pause"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": "config.json", "RepoTags": []string{pauseImage}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return nil, err
	}
	return tarOf(map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer},
		"manifest.json", "config.json", "layer.tar")
}

// tarOf packs files in the given order.
func tarOf(files map[string][]byte, names ...string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
