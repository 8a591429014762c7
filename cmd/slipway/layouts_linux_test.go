package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestNotes notes what images consist of. That is counted, goes when the cache is
// pruned, by the same limits, and else when it is more than a run leaves: what nobody
// asked for longest goes first.
func TestNotes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a solver of our own in this process")
	}
	state, dir := t.TempDir(), t.TempDir()
	slipway := func(args ...string) []byte {
		t.Helper()
		var out, talk bytes.Buffer
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, env: func(string) (string, bool) { return "", false }}
		if code := a.main(t.Context(), append(args, "--state", state)); code != 0 {
			t.Fatalf("slipway %q: exit code %d\n%s%s", args, code, &talk, &out)
		}
		return out.Bytes()
	}
	cache := func(args ...string) cached {
		t.Helper()
		var all []cached
		if err := json.Unmarshal(slipway(append([]string{"cache", "-o", "json"}, args...)...), &all); err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0]
	}
	w := &world{state: state}
	// An image each day, of a MiB each.
	image := func(i int) string { return fmt.Sprintf("sha256:%064d", i) }
	write := func(n int) {
		t.Helper()
		for i := range n {
			w.note(image(i), []buildkit.Layout{{Platform: strings.Repeat("x", 1<<20)}})
			when := time.Now().AddDate(0, 0, -i)
			if err := os.Chtimes(w.layoutFile(image(i)), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func() (days string) {
		for i := range 7 {
			if _, err := os.Stat(w.layoutFile(image(i))); err == nil {
				days += fmt.Sprint(i)
			}
		}
		return days
	}

	empty := cache("du")
	write(5)
	if u := cache("du"); u.Records != empty.Records+5 || u.Bytes < 5<<20 || u.Reclaimable < 5<<20 {
		t.Errorf("du says %+v of five MiB", u)
	}
	if u, days := cache("prune", "--keep-duration", "60h"), left(); u.Records != 2 || u.Bytes < 2<<20 || days != "012" {
		t.Errorf("after 60 h pruning said %+v and left %s", u, days)
	}
	if u, days := cache("prune", "--keep-storage", "2.5MiB"), left(); u.Records != 1 || days != "01" {
		t.Errorf("with 2.5 MiB pruning said %+v and left %s", u, days)
	}
	if u, days := cache("prune"), left(); u.Records != 2 || days != "" {
		t.Errorf("without a limit pruning said %+v and left %s", u, days)
	}

	write(6)
	if len(w.noted(image(5))) != 1 {
		t.Fatal("what was noted is not known")
	}
	writeFile(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
	writeFile(t, filepath.Join(dir, "slipway.yaml"), "slipway: v1\nname: x\nstages: {app: {build: {context: .}}}\n")
	slipway("run", "-f", dir+"/slipway.yaml", "--progress", "quiet")
	if days := left(); days != "015" { // and the new one: four with it would be more than 4 MiB
		t.Errorf("a run that builds left %s", days)
	}
}
