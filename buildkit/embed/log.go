//go:build linux

package embed

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/sirupsen/logrus"

	"github.com/slipway-ci/slipway/buildkit"
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
			l.log.Debug(buildkit.Unsigned(string(line)))
		}
	}
	return len(p), nil
}

// longestLog is how many bytes of the output of one step are kept; a line in the
// log says so where more was cut. BuildKit holds it in memory for the length of
// the build.
const longestLog = 512 << 20

// wholeLogs keeps BuildKit from cutting the output of a step off at 2 MiB, or at
// 200 KiB a second: the line that says why it fails may be a later one. BuildKit
// takes this from the environment alone, once (util/progress/logs); what a user
// has set there counts.
func wholeLogs() error {
	for name, limit := range map[string]int{"BUILDKIT_STEP_LOG_MAX_SIZE": longestLog, "BUILDKIT_STEP_LOG_MAX_SPEED": -1} {
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if err := os.Setenv(name, strconv.Itoa(limit)); err != nil {
			return err
		}
	}
	return nil
}
