package facts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline/facts"
)

func TestDirs(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "tree")
	for _, d := range []string{"services/web", "services/cart/cmd/a", "services/web/cmd/b", "services/.git", "empty", "../outside/x"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "services", "README"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"services/out": "../../outside", "services/in": "cart", "out": "../outside", "services/gone": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"services/*":       "[cart in web]",
		"services/*/":      "[cart in web]",
		"./services/c*":    "[cart]",
		"services/*/cmd/*": "[cart/cmd/a in/cmd/a web/cmd/b]",
		"services/.*":      "[.git]",
		"*":                "[empty services]",
		"empty/*":          "[]",
		"out/*":            "there is no folder out",
		"servces/*":        "there is no folder servces",
		"services":         "leaves nothing open (want one such as services/*)",
		"../outside/*":     "leads out of the pipeline file's folder",
		"/etc/*":           "leads out of the pipeline file's folder",
		"services/**":      "write a * for each level",
		"services/[":       "syntax error in pattern",
	} {
		found, err := facts.Dirs(dir)(pattern)
		got := fmt.Sprint(found)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != want || !strings.Contains(got, want) {
			t.Errorf("dirs('%s') = %s, want %s", pattern, got, want)
		}
	}
}
