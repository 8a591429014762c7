package inputs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
)

// Memory remembers on this machine: keys of commands that have succeeded, and the
// inputs of the last build of each name. Forgetting is safe, so it is a file for
// each in a cache folder.
type Memory struct {
	Dir string // made when the first key is remembered
}

// Recall reports whether key was remembered.
func (m *Memory) Recall(key string) (bool, error) {
	_, err := os.Stat(filepath.Join(m.Dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remember makes Recall report true for key.
func (m *Memory) Remember(key string) error {
	if err := os.MkdirAll(m.Dir, 0o700); err != nil {
		return fmt.Errorf("remember what has succeeded: %w", err)
	}
	f, err := os.Create(filepath.Join(m.Dir, key))
	if err != nil {
		return fmt.Errorf("remember what has succeeded: %w", err)
	}
	return f.Close()
}

// Last returns the parts of the last build called name, or nil if none is known.
func (m *Memory) Last(name string) (buildkit.Parts, error) {
	text, err := os.ReadFile(m.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, nil // half of one is none
	}
	var parts buildkit.Parts
	if json.NewDecoder(r).Decode(&parts) != nil {
		return nil, nil
	}
	return parts, nil
}

// Note makes Last return parts for name.
func (m *Memory) Note(name string, parts buildkit.Parts) error {
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	if err := errors.Join(json.NewEncoder(w).Encode(parts), w.Close()); err != nil {
		return err
	}
	if err := replace(m.file(name), text.Bytes()); err != nil {
		return fmt.Errorf("remember what was built: %w", err)
	}
	return nil
}

// file returns where the parts of a build lie. Names may hold what no file's may.
func (m *Memory) file(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(m.Dir, "builds", hex.EncodeToString(sum[:16]))
}
