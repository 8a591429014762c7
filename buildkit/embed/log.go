//go:build linux

package embed

import (
	"bytes"
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// redirectLogs sends what BuildKit and containerd log to ours. They have one
// logger for the whole process, and it writes to the user's terminal.
func redirectLogs(log *slog.Logger) {
	if log == nil {
		logrus.SetOutput(io.Discard)
		return
	}
	logrus.SetOutput(lines{log})
	logrus.SetLevel(logrus.DebugLevel)
}

// lines is a writer that logs each line.
type lines struct{ log *slog.Logger }

func (l lines) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			l.log.Debug(string(line))
		}
	}
	return len(p), nil
}
