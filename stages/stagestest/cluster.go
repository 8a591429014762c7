package stagestest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Render makes one Deployment of every file in dir that is called *.image: its
// text is the repository.
func (w *World) Render(_ context.Context, dir string) ([]deploy.Object, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.image"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, &deploy.NoKustomizationError{Dir: filepath.Base(dir)})
	}
	var objs []deploy.Object
	for _, f := range files {
		repository, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(f), ".image")
		objs = append(objs, deploy.Object{File: f, Line: 1, Body: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name, "namespace": "shop"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
				"containers": []any{map[string]any{"name": name, "image": strings.TrimSpace(string(repository))}},
			}}},
		}})
	}
	return objs, nil
}

// Encode implements [stages.Renderer].
func (w *World) Encode(objs []deploy.Object) ([]byte, error) {
	return json.MarshalIndent(objs, "", "  ")
}

// Check implements [stages.Cluster].
func (w *World) Check(context.Context, string) (string, error) {
	if w.ClusterDown {
		return "default", &deploy.ClusterError{Server: "https://cluster", Doing: "identify", Err: errors.New("connection refused")}
	}
	return "default", nil
}

// Diff compares objs with the cluster.
func (w *World) Diff(_ context.Context, set deploy.Set) ([]deploy.Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []deploy.Change
	for _, o := range set.Objects {
		op := deploy.Create
		if old, ok := w.Objects[o.String()]; ok {
			op = deploy.Configure
			a, _ := json.Marshal(old.Body)
			b, _ := json.Marshal(o.Body)
			if slices.Equal(a, b) {
				op = deploy.Unchanged
			}
		}
		changes = append(changes, deploy.Change{Object: o, Op: op})
	}
	return changes, nil
}

// Apply puts objs into the cluster.
func (w *World) Apply(ctx context.Context, set deploy.Set, _ []deploy.Change, watch func(deploy.Status)) error {
	changes, err := w.Diff(ctx, set)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Objects == nil {
		w.Objects = map[string]deploy.Object{}
	}
	for _, c := range changes {
		if c.Op != deploy.Unchanged {
			w.Objects[c.Object.String()] = c.Object
			w.did("%s %s", c.Op, c.Object)
			watch(deploy.Status{Object: c.Object.String(), Message: string(c.Op)})
		}
	}
	return nil
}

// Readable says that w understands every condition.
func (*World) Readable(string) error { return nil }

// Wait says that pods run what is pinned, or w.Runs.
func (w *World) Wait(_ context.Context, set deploy.Set, _ []deploy.Change, _ time.Duration, _ func(deploy.Status)) ([]deploy.Verdict, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var verdicts, failed []deploy.Verdict
	for _, p := range set.Pins {
		if strings.HasPrefix(p.Object, "Job ") && w.FailExec != nil {
			return nil, &deploy.RolloutError{Verdicts: []deploy.Verdict{{Object: p.Object, Code: deploy.JobFailed, Cause: w.FailExec.Error()}}}
		}
		v := deploy.Verdict{Object: p.Object, Code: deploy.Proven, Ready: 1, Want: 1, Digests: []string{p.Digest}}
		if w.Breaks == p.Digest {
			v.Code, v.Cause = deploy.CrashLoop, "exit code 3"
			failed = append(failed, v)
		}
		if w.Runs != "" && w.Runs != p.Digest {
			v.Code, v.Cause = deploy.WrongDigest, "runs "+w.Runs
			failed = append(failed, v)
		}
		verdicts = append(verdicts, v)
	}
	if len(failed) > 0 {
		return verdicts, &deploy.RolloutError{Verdicts: failed}
	}
	return verdicts, nil
}

// Ask answers 200 while the cluster has anything.
func (w *World) Ask(context.Context, deploy.Request) (deploy.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.Objects) == 0 {
		return deploy.Answer{Status: 503}, nil
	}
	return deploy.Answer{Status: 200, Body: []byte("ok")}, nil
}

// proxy is a World as a [stages.Proxy].
type proxy struct{ *World }

func (p proxy) Ask(ctx context.Context, _ string, r deploy.Request) (deploy.Answer, error) {
	return p.World.Ask(ctx, r)
}
