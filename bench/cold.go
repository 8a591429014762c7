package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// cold builds services that nobody has built before, into repositories that hold nothing.
func cold(ctx context.Context, b *Bench) error {
	registry, err := b.registry(ctx)
	if err != nil {
		return err
	}
	peer, err := b.buildkitd(ctx, registry)
	if err != nil {
		return err
	}
	for _, n := range []int{10, 40} {
		f, err := b.fleet(ctx, n, registry, peer)
		if err != nil {
			return err
		}
		round := 0
		renew := func() error { // repositories are new each time
			round++
			return f.write(fmt.Sprintf("-r%d", round))
		}
		cases := f.cases()
		cases[0].Reset = func() error { return errors.Join(renew(), os.RemoveAll(filepath.Join(b.Dir, "state"))) }
		cases[1].Reset = func() error {
			return errors.Join(renew(), b.do(ctx, f.dir, filepath.Join(b.Peers, "buildctl"), "--addr", peer.addr, "prune", "--all"))
		}
		store := filepath.Join(b.Dir, "buildah")
		cases = append(cases, Case{
			Name: "buildah", Args: []string{"sh", "buildah.sh"}, Dir: f.dir, Reset: func() error {
				return errors.Join(renew(), f.buildah(store), b.do(ctx, f.dir, "sh", "-c", fmt.Sprintf("buildah --root %s --runroot %s-run rmi --all --force || true", store, store)))
			},
		})
		for i := range cases {
			cases[i].Cold = true
		}
		// The images of slipway and of buildctl in the last round are compared below.
		s, err := b.Compare(ctx, fmt.Sprintf("cold, %d services", n), n, cases...)
		if err != nil {
			return err
		}
		for _, c := range cases[:2] {
			if err := errors.Join(os.RemoveAll(filepath.Join(b.Dir, "state")), b.do(ctx, f.dir, c.Args...)); err != nil {
				return err
			}
		}
		if err := f.same(ctx); err != nil {
			return err
		}
		for i, peer := range []string{"buildctl's", "buildah's"} {
			b.aim(fmt.Sprintf("wall, %d services, of %s", n, peer), s[0].wall()/s[i+1].wall(), 0.9)
			b.aim(fmt.Sprintf("CPU, %d services, of %s", n, peer), s[0].cpu()/s[i+1].cpu(), 0.8)
		}
		b.aim(fmt.Sprintf("peak memory, %d services, of buildctl's and buildkitd's", n), s[0].peak()/s[1].peak(), 0.6)
	}
	return nil
}

// buildah writes the script for buildah: it waits for itself where several use one store.
func (f *fleet) buildah(store string) error {
	return os.WriteFile(filepath.Join(f.dir, "buildah.sh"), fmt.Appendf(nil, `set -e
buildah="buildah --root %s --runroot %s-run --storage-driver overlay"
build() {
	$buildah bud -q --isolation chroot --layers --tls-verify=false -t %[3]s/$1:latest services/$1 >/dev/null
	$buildah push -q --tls-verify=false %[3]s/$1:latest
}
for s in $(ls services); do build $s; done
`, store, store, fmt.Sprintf("%s/buildah%d%s", f.registry, f.n, f.suffix)), 0o644)
}

// starts measures what a command costs that has nothing to do.
func starts(ctx context.Context, b *Bench) error {
	s, err := b.Compare(ctx, "print the version", 1,
		Case{Name: "slipway", Args: []string{b.Slipway, "version"}, Dir: b.Dir},
		Case{Name: "buildctl", Args: []string{filepath.Join(b.Peers, "buildctl"), "--version"}, Dir: b.Dir},
		Case{Name: "buildkitd", Args: []string{filepath.Join(b.Peers, "buildkitd"), "--version"}, Dir: b.Dir},
		Case{Name: "kubectl", Args: []string{filepath.Join(b.Peers, "kubectl"), "version", "--client"}, Dir: b.Dir},
		Case{Name: "helm", Args: []string{filepath.Join(b.Peers, "helm"), "version"}, Dir: b.Dir},
		Case{Name: "floor: the same packages", Args: []string{filepath.Join(b.Floor, "start")}, Dir: b.Dir})
	if err != nil {
		return err
	}
	b.aim("CPU of a start, ms", 1e3*s[0].cpu(), 30)
	b.aim("peak memory, of buildctl's + buildkitd's", s[0].peak()/(s[1].peak()+s[2].peak()), 0.6)
	b.aim("CPU, of the floor's", s[0].cpu()/s[5].cpu(), 1.3)
	b.aim("peak memory, of the floor's", s[0].peak()/s[5].peak(), 1.3)
	var sizes [2]int64
	for i, names := range [][]string{{b.Slipway}, {filepath.Join(b.Peers, "buildctl"), filepath.Join(b.Peers, "buildkitd"), filepath.Join(b.Peers, "kustomize"), filepath.Join(b.Peers, "kubectl")}} {
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			sizes[i] += info.Size()
		}
	}
	b.aim("size of the binary, of buildctl + buildkitd + kustomize + kubectl", float64(sizes[0])/float64(sizes[1]), 1)
	return nil
}
