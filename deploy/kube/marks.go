package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
)

// What slipway writes on the objects it applies: in their own metadata, never
// in selectors or pod templates. Nothing of it names a commit or a run, so an
// unchanged set stays unchanged.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	LabelPipeline    = "slipway.dev/pipeline"
	LabelDeployment  = "slipway.dev/deployment"
	LabelEnvironment = "slipway.dev/environment"
)

// marks returns the labels of every object of a set.
func marks(set deploy.Set) map[string]string {
	labels := map[string]string{LabelManagedBy: Manager, labelPartOf: applySetID(set)}
	for label, value := range map[string]string{LabelPipeline: set.Pipeline, LabelDeployment: set.Name, LabelEnvironment: set.Environment} {
		if value != "" {
			labels[label] = labelValue(value)
		}
	}
	return labels
}

var (
	validLabel   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`) })
	invalidLabel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^-A-Za-z0-9_.]+`) })
	invalidName  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^-a-z0-9.]+`) })
)

// labelValue returns s if it can be the value of a label. Otherwise what can
// be kept of it, and a hash, so that two names stay two.
func labelValue(s string) string {
	if s == "" || validLabel().MatchString(s) {
		return s
	}
	return shortened(invalidLabel().ReplaceAllString(s, "-"), s, 63)
}

// objectName returns s if it can be the name of an object, and else as [labelValue] does.
func objectName(s string) string {
	valid := invalidName().ReplaceAllString(strings.ToLower(s), "-")
	if valid == s && len(s) <= 253 && strings.Trim(s, "-.") == s && !strings.Contains(s, "..") && !strings.Contains(s, ".-") && !strings.Contains(s, "-.") {
		return s
	}
	return shortened(strings.NewReplacer(".", "-").Replace(valid), s, 253)
}

// shortened cuts text to limit bytes that end in a hash of the original.
func shortened(text, original string, limit int) string {
	sum := sha256.Sum256([]byte(original))
	hash := hex.EncodeToString(sum[:4])
	text = text[:min(len(text), limit-len(hash)-1)]
	return strings.Trim(strings.Trim(text, "-_.")+"-"+hash, "-")
}
