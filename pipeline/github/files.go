package github

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// Outputs appends values to the file that the runner reads outputs from. What
// stands around a value cannot be guessed, so that none can end early.
func Outputs(file string, values map[string]string) error {
	var b strings.Builder
	for _, name := range pipeline.Keys(values) {
		if strings.ContainsAny(name, "\r\n=<") {
			return fmt.Errorf("%q cannot be the name of an output", name)
		}
		end := "slipway-" + token()
		fmt.Fprintf(&b, "%s<<%s\n%s\n%s\n", name, end, values[name], end)
	}
	return appendTo(file, b.String())
}

// MostSummary is how many bytes of a summary are written. GitHub drops one
// above 1 MiB.
const MostSummary = 900 << 10

// SummaryRoom returns how many bytes may still be appended to the summary in file.
func SummaryRoom(file string) (int, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return MostSummary, nil
	case err != nil:
		return 0, err
	}
	return int(max(0, MostSummary-info.Size())), nil
}

// Summary appends Markdown to the file that the runner reads the summary from.
func Summary(file, text string) error { return appendTo(file, text) }

// appendTo appends text in one write: other steps of a script may do so, too.
func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
