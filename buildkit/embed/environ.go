//go:build linux

package embed

import (
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
)

// childEnv is what of our environment the child sees: nothing that could be a
// secret, and folders of its own.
func childEnv(env []string, root string) []string {
	out := []string{
		"XDG_RUNTIME_DIR=" + filepath.Join(root, "run"), // where runc keeps its state
		"TMPDIR=" + filepath.Join(root, "tmp"),
	}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(name) {
		case "PATH", "HOME", "LANG", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
			"SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT", "GOCOVERDIR", "GORACE",
			"BUILDKIT_STEP_LOG_MAX_SIZE", "BUILDKIT_STEP_LOG_MAX_SPEED":
			out = append(out, kv)
		}
	}
	return out
}

// lastWords keeps the end of what a child writes, and logs it.
type lastWords struct {
	log *slog.Logger

	mu  sync.Mutex
	end []byte
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = append(w.end, p...)
	w.end = w.end[max(0, len(w.end)-4096):]
	if w.log != nil {
		_, _ = lines{w.log}.Write(p)
	}
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(string(w.end))
}
