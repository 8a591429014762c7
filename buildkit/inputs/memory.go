package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Memory remembers keys on this machine: those of commands that have succeeded.
// Forgetting is safe, so it is one empty file for each key in a cache folder.
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
