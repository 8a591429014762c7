package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// sbom writes sbom.spdx.json: each binary with its checksum, and the modules it
// contains (SPDX 2.3, packages with purl references).
func (r *release) sbom(binaries []string, linked map[string][]module) error {
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      "slipway-" + r.version,
		DocumentNamespace: "https://github.com/slipway-ci/slipway/releases/" + r.version + "/sbom",
		CreationInfo: &spdx.CreationInfo{
			Created:  r.created(),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "slipway-release"}},
		},
	}
	relate := func(a, b common.ElementID, how string) {
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{
			RefA: common.MakeDocElementID("", string(a)), RefB: common.MakeDocElementID("", string(b)), Relationship: how,
		})
	}
	known := map[string]common.ElementID{}
	for _, name := range binaries {
		sum, err := sha256Of(r.path(name))
		if err != nil {
			return err
		}
		binary := elementID("Binary", name)
		doc.Packages = append(doc.Packages, &spdx.Package{
			PackageName: name, PackageSPDXIdentifier: binary, PackageVersion: r.version, PackageFileName: name,
			PackageDownloadLocation: "https://github.com/slipway-ci/slipway/releases/download/" + r.version + "/" + name,
			PackageLicenseDeclared:  "Apache-2.0", PackageLicenseConcluded: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
			PackageChecksums: []common.Checksum{{Algorithm: common.SHA256, Value: sum}},
		})
		relate("DOCUMENT", binary, common.TypeRelationshipDescribe)
		for _, m := range linked[name] {
			id, ok := known[m.String()]
			if !ok {
				id = elementID("Module", m.String())
				known[m.String()] = id
				doc.Packages = append(doc.Packages, m.spdx(id))
			}
			relate(binary, id, common.TypeRelationshipContains)
		}
	}
	f, err := os.Create(r.path("sbom.spdx.json"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := spdxjson.Write(doc, f, spdxjson.Indent(" ")); err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return f.Close()
}

// spdx returns m as a package of an SPDX document.
func (m module) spdx(id common.ElementID) *spdx.Package {
	p := &spdx.Package{
		PackageName: m.path, PackageSPDXIdentifier: id, PackageVersion: m.version,
		PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL,
			Locator: "pkg:golang/" + m.path + "@" + strings.ReplaceAll(m.version, "+", "%2B"),
		}},
	}
	if hash, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && m.sum != "" {
		p.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(hash)}} // of the module, as go.sum has it
	}
	return p
}

var notOfID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// elementID returns an SPDX identifier, which has letters, digits, dots and dashes.
func elementID(kind, name string) common.ElementID {
	return common.ElementID(kind + "-" + notOfID.ReplaceAllString(name, "-"))
}

func sha256Of(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
