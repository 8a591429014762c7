package e2e_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestPlanOffline plans the example where there is neither cluster nor registry.
func TestPlanOffline(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	shopAddr := s.addr
	before := tree(t, s.dir, s.as.home)
	s.call("plan").want(t, 0).says(t, "base/Dockerfile", "Deployment shop-staging/web", "what could not be checked", s.addr)
	if now := tree(t, s.dir, s.as.home); !maps.Equal(now, before) {
		t.Errorf("planning changed files: %q", added(before, now))
	}
	first := s.call("plan", "-o", "json").want(t, 0)
	if again := s.call("plan", "-o", "json").want(t, 0); again.Stdout != first.Stdout {
		t.Errorf("planning twice differs:\n%s\n%s", first.Stdout, again.Stdout)
	}
	for _, test := range []struct {
		file string
		want []string // the stages whose entries change; what rollout applies is not known yet, before and after
	}{
		{"web/www/index.html", []string{"web"}},
		{"api/serve", []string{"api", "publish"}},
		{"base/Dockerfile", []string{"api", "base", "publish", "web"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.addr = shopAddr
			f, err := os.OpenFile(filepath.Join(s.dir, test.file), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString("# one more line\n")
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			var changed []string
			now, was := entries(t, s.call("plan", "-o", "json").want(t, 0)), entries(t, first)
			for stage, entry := range now {
				if entry != was[stage] {
					changed = append(changed, stage)
				}
			}
			if slices.Sort(changed); !slices.Equal(changed, test.want) {
				t.Errorf("it changes %q, want %q", changed, test.want)
			}
		})
	}
}

// entries are the steps of a plan in JSON, by id.
func entries(t *testing.T, r result) map[string]string {
	t.Helper()
	var plan struct{ Steps []json.RawMessage }
	if err := json.Unmarshal([]byte(r.Stdout), &plan); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, step := range plan.Steps {
		var id struct{ ID string }
		if err := json.Unmarshal(step, &id); err != nil {
			t.Fatal(err)
		}
		found[id.ID] = string(bytes.TrimSpace(step))
	}
	return found
}

// tree is when the files in some folders were changed.
func tree(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				seen[path] = info.ModTime().Format(time.RFC3339Nano)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return seen
}
