package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// layers builds and pushes an image whose one layer is 1 GiB of what this machine has
// in /usr: programs, libraries, texts.
func layers(ctx context.Context, b *Bench) error {
	s, err := b.single(ctx)
	if err != nil {
		return err
	}
	if err := gather("/usr", filepath.Join(s.dir, "data"), 1<<30); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "Dockerfile"), []byte("FROM scratch\nCOPY data /data\n"), 0o644); err != nil {
		return err
	}
	for _, kind := range []string{"gzip", "zstd"} {
		s.zstd = kind == "zstd"
		cases := s.cases(ctx, true)
		if s.zstd {
			cases = cases[:2]
		} else {
			cases = append(cases, Case{
				Name: "floor: hash, pack, keep, send", Args: []string{filepath.Join(b.Floor, "pack"), "context/data", "packed", "http://" + s.registry + "/v2/floor"},
				Dir: b.Dir, Cold: true, Memory: cases[0].Memory,
			})
		}
		sizes := make([]int64, len(cases))
		for i, of := range []string{"ours", "theirs", "buildah"}[:min(3, len(cases))] {
			cases[i].Most = time.Minute
			cases[i].Check = func() error {
				var err error
				sizes[i], err = size(ctx, s.registry, fmt.Sprintf("%s-%d", of, s.round))
				return err
			}
		}
		got, err := b.Compare(ctx, "1 GiB, "+kind, 1<<30, cases...)
		if err != nil {
			return err
		}
		most := 0.5
		if s.zstd {
			most = 1
		}
		b.aim("CPU, "+kind+", of buildctl's", got[0].cpu()/got[1].cpu(), most)
		b.aim("wall, "+kind+", of buildctl's", got[0].wall()/got[1].wall(), max(0.6, most))
		b.aim("size, "+kind+", of buildctl's", float64(sizes[0])/float64(sizes[1]), 1.06)
		if !s.zstd {
			b.aim("CPU, gzip, of buildah's", got[0].cpu()/got[2].cpu(), most)
			b.aim("wall, gzip, of buildah's", got[0].wall()/got[2].wall(), 0.6)
			b.aim("CPU, gzip, of the floor's", got[0].cpu()/got[3].cpu(), 1.3)
		}
		for i, c := range cases[:min(3, len(cases))] {
			b.note("%s, %s: %.0f MB.", kind, c.Name, float64(sizes[i])/1e6)
		}
	}
	return nil
}

// gather writes a file of n bytes from those below a folder.
func gather(root, to string, n int64) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	full := errors.New("full")
	for n > 0 {
		before := n
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // what cannot be read is left out
			}
			in, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer in.Close()
			copied, err := io.Copy(out, io.LimitReader(in, n))
			if n -= copied; err == nil && n <= 0 {
				err = full
			}
			return err
		})
		if err != nil && !errors.Is(err, full) {
			return err
		}
		if n == before {
			return fmt.Errorf("%s has no files that can be read", root)
		}
	}
	return out.Close()
}

// size sums the layers of an image in the registry.
func size(ctx context.Context, registry, repository string) (int64, error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+registry+"/v2/"+repository+"/manifests/latest", nil)
	if err != nil {
		return 0, err
	}
	ask.Header.Set("Accept", manifests)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", repository, answer.Status)
	}
	var manifest struct{ Layers []struct{ Size int64 } }
	if err := json.NewDecoder(answer.Body).Decode(&manifest); err != nil {
		return 0, err
	}
	var sum int64
	for _, l := range manifest.Layers {
		sum += l.Size
	}
	return sum, nil
}
