//go:build linux

package embed

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/slipway-ci/slipway/buildkit"
)

// HasRunc reports whether this binary brings a runc of its own.
func HasRunc() bool {
	_, err := fs.Stat(binaries, filepath.Join("bin", runtime.GOARCH, "runc.gz"))
	return err == nil
}

// lookRunc makes sure that there is a runc. It returns the path of the one on the PATH
// if this binary was built without, or else "": config.runc unpacks what it brings.
func lookRunc() (string, error) {
	if HasRunc() {
		return "", nil
	}
	path, err := exec.LookPath("runc")
	if err != nil {
		return "", &buildkit.HostError{
			What: "there is no runc",
			Cure: "install runc, or use a slipway built by make, which brings its own",
		}
	}
	return path, nil
}

// runc returns the path of the runc to run. The one inside this binary is unpacked
// when a command first needs it: many builds have none.
func (c config) runc() (string, error) {
	if c.Runc != "" {
		return c.Runc, nil
	}
	packed, err := binaries.ReadFile(filepath.Join("bin", runtime.GOARCH, "runc.gz"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(packed)
	path := filepath.Join(c.State, "bin", "runc-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, unpack(packed, path)
}

// unpack writes an executable so that no other process ever sees half of it.
func unpack(packed []byte, path string) error {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "runc-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // nothing is there after the rename
	_, err = io.Copy(tmp, r)
	if err := errors.Join(err, tmp.Chmod(0o755), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
