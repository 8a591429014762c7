package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRequired(t *testing.T) {
	got, err := required(filepath.Join("..", "..", runcModule))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(got, func(m module) bool { return m.path == "github.com/opencontainers/runc" && m.version != "" }) {
		t.Errorf("the runtime is built from %v, and runc is not among them", got)
	}
}

func TestSBOM(t *testing.T) {
	r := &release{dir: t.TempDir(), version: "v1.2.3", epoch: 1700000000}
	if err := os.WriteFile(r.path("slipway-linux-amd64"), []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	linked := map[string][]module{"slipway-linux-amd64": {{path: "example.org/a", version: "v1.0.0+incompatible", sum: "h1:" + strings.Repeat("A", 43) + "="}}}
	if err := r.sbom([]string{"slipway-linux-amd64"}, linked); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(r.path("sbom.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		SPDXVersion string
		Packages    []struct {
			Name         string
			Checksums    []struct{ ChecksumValue string }
			ExternalRefs []struct{ ReferenceLocator string }
		}
		Relationships []struct{ SPDXElementID, RelatedSPDXElement, RelationshipType string }
	}
	if err := json.Unmarshal(written, &doc); err != nil {
		t.Fatal(err)
	}
	sum, err := sha256Of(r.path("slipway-linux-amd64"))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Packages) != 2 || doc.Packages[0].Checksums[0].ChecksumValue != sum {
		t.Errorf("packages: got %+v", doc.Packages)
	}
	if got, want := doc.Packages[1].ExternalRefs[0].ReferenceLocator, "pkg:golang/example.org/a@v1.0.0%2Bincompatible"; got != want {
		t.Errorf("purl: got %s, want %s", got, want)
	}
	if len(doc.Relationships) != 2 || doc.Relationships[1].RelationshipType != "CONTAINS" {
		t.Errorf("relationships: got %+v", doc.Relationships)
	}
}

func TestLicences(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	m := module{path: "example.org/a", version: "v1.0.0"}
	if err := quote(&out, m, dir); err == nil {
		t.Error("a module without a licence is shipped")
	}
	for name, text := range map[string]string{"LICENSE.md": "be kind", "NOTICE": "by A", "license.go": "package a", "COPYING.LESSER": "share"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	if err := quote(&out, m, dir); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"example.org/a@v1.0.0", "be kind", "by A", "share"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, &out)
		}
	}
	if strings.Contains(out.String(), "package a") {
		t.Errorf("a Go file is no licence: %s", &out)
	}
}

func TestChecksums(t *testing.T) {
	r := &release{dir: t.TempDir()}
	if err := os.WriteFile(r.path("a"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.checksums(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(r.path("checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  a\n"; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNoRuntimeNoRelease(t *testing.T) {
	t.Chdir(t.TempDir())
	r := &release{dir: "dist", version: "v1"}
	if _, err := r.build(t.Context(), target{"linux", "amd64"}); err == nil || !strings.Contains(err.Error(), "make release") {
		t.Errorf("got %v, want the cure", err)
	}
}
