package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestDigests plays nodes that report one digest or another. What they report is the scenario's.
func TestDigests(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, reports string // reports: as an imageID, %s being the repository
		code          string
		exit          int
		says          string
	}{
		{"the pinned one", "%s@PINNED", "proven", 0, "2/2 pods run PINNED"},
		{"another", "%s@OTHER", "wrong-digest", 7, "runs OTHER, pinned was PINNED"},
		{"another that no registry has", "%s@" + fakeDigest(1), "wrong-digest", 7, "runs " + fakeDigest(1) + ", pinned was PINNED"},
		{"none", "", "unproven", 7, `reports imageID ""`},
		{"a tag only", "%s:v1", "unproven", 7, "so nothing says which digest it runs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, r := kwok(t), newRegistry(t)
			ns := c.namespace(t)
			known := strings.NewReplacer("PINNED", r.push(t, "web", "v1", "serve"), "OTHER", r.push(t, "web", "v2", "sleep"))
			repository := r.host + "/web"
			reports := test.reports
			if reports != "" {
				reports = fmt.Sprintf(reports, repository)
			}
			web := edit{"image-id: none", fmt.Sprintf("image-id: %q", known.Replace(reports))}.apply(t, healthyWeb)
			dir := webTree(web).write(t)
			got := deployWeb(c, dir, ns, repository+"@"+known.Replace("PINNED")).run(t).want(t, test.exit)
			v := verdict(t, dir, "Deployment "+ns+"/web")
			if v.Code != test.code {
				t.Errorf("code is %q, want %q", v.Code, test.code)
			}
			got.says(t, known.Replace(test.says), v.Text)
		})
	}
}

// TestIndexes pins an image of two platforms. A node reports whatever it pulled first of the same
// config: the manifest of its platform, its config, or an older index.
func TestIndexes(t *testing.T) {
	t.Parallel()
	const side = "        - {name: side, image: r.example/side}\n"
	for _, test := range []struct {
		name, reports, more string // more: a container beside the first, which is pinned, too
		code                string
		exit                int
		says                string
	}{
		{"the index", "PINNED", "", "proven", 0, "2/2 pods run PINNED"},
		{"its platform's manifest", "MANIFEST", "", "proven", 0, "2/2 pods run PINNED"},
		{"the config of that", "CONFIG", "", "proven", 0, "2/2 pods run PINNED"},
		{"an older index with the same config", "OLDER", "", "proven", 0, "2/2 pods run PINNED"},
		{"an older index with another config", "ANOTHER", "", "wrong-digest", 7, "runs ANOTHER, pinned was PINNED"},
		{"the manifest of another platform's image", "OTHER", "", "wrong-digest", 7, "runs OTHER, pinned was PINNED"},
		{"a sidecar that is pinned, too", "PINNED", "e2e.slipway.dev/image-id.side: REPO@SIDE", "proven", 0, "2/2 pods run PINNED"},
		{"a sidecar that runs another", "PINNED", "e2e.slipway.dev/image-id.side: REPO@OTHER", "wrong-digest", 7, "container side: pod"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, r := kwok(t), newRegistry(t)
			ns := c.namespace(t)
			repository := r.host + "/web"
			served, slept, crashes := r.image(t, "serve"), r.image(t, "sleep"), r.image(t, "crash")
			known := strings.NewReplacer("REPO", repository,
				"PINNED", r.pushIndex(t, "web", "v2", served, slept), "OLDER", r.pushIndex(t, "web", "v1", served), "ANOTHER", r.pushIndex(t, "web", "v0", crashes, slept),
				"MANIFEST", digestOf(t, served), "CONFIG", configOf(t, served), "OTHER", r.push(t, "web", "other", "notready"), "SIDE", r.push(t, "web", "side", "selftest"))
			text := edit{"image-id: none", known.Replace("image-id: REPO@" + test.reports + ", e2e.slipway.dev/unused: none")}.apply(t, healthyWeb)
			var flags []string
			if test.more != "" {
				text = edit{"e2e.slipway.dev/unused: none", known.Replace(test.more)}.apply(t, text) + side
				flags = []string{"--image", known.Replace("r.example/side=REPO@SIDE")}
			}
			dir := webTree(text).write(t)
			it := deployWeb(c, dir, ns, known.Replace("REPO@PINNED"))
			it.Args = append(it.Args, flags...)
			it.run(t).want(t, test.exit).says(t, known.Replace(test.says))
			if v := verdict(t, dir, "Deployment "+ns+"/web"); v.Code != test.code {
				t.Errorf("code is %q, want %q", v.Code, test.code)
			}
		})
	}
}

// image is one of testapp that behaves like mode.
func (r *plainRegistry) image(t *testing.T, mode string) v1.Image {
	t.Helper()
	image, err := appImage(mode)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushIndex pushes an index whose images are for amd64, arm64 and so on.
func (r *plainRegistry) pushIndex(t *testing.T, repository, tag string, images ...v1.Image) string {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for n, image := range images {
		platform := &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[n]}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	ref, err := name.NewTag(r.host+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return digestOf(t, index)
}

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func configOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
