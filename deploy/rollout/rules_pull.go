package rollout

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// imageName finds an image that no node will even ask for.
func imageName(c *scene) *finding {
	return c.first(func(v view) *finding {
		switch reason, message := v.waiting(); reason {
		case "InvalidImageName":
			return &finding{cause: message, cure: "write the image as repository:tag@digest"}
		case "ErrImageNeverPull":
			return &finding{cause: message, cure: "set imagePullPolicy to IfNotPresent, or put the image on the node"}
		}
		return nil
	})
}

// imageRefused finds an image that the registry says is not there, or not for
// us. To ask again would change nothing.
func imageRefused(c *scene) *finding {
	return c.first(func(v view) *finding {
		words, pulling := c.pullError(v)
		if !pulling {
			return nil
		}
		switch {
		case private().MatchString(words):
			return &finding{cause: words, cure: "give the pod an imagePullSecret (or its ServiceAccount one) that may read " + v.spec.Image}
		case missing().MatchString(words):
			return &finding{cause: words, cure: "see whether nodes reach the registry by the name in " + v.spec.Image + ", and whether the digest is there for their platform"}
		}
		return nil
	})
}

// imagePull finds a pull that fails for another reason, such as the network.
// It counts when it has lasted, for then a second attempt has failed too.
func imagePull(c *scene) *finding {
	return c.first(func(v view) *finding {
		words, pulling := c.pullError(v)
		if !pulling {
			return nil
		}
		return &finding{settle: networkFor, cause: words, cure: "see whether the node reaches the registry of " + v.spec.Image}
	})
}

// pullError returns why an image cannot be pulled, in the registry's words. A
// back-off says only that there was an error: the error itself may then only
// be found in an event.
func (c *scene) pullError(v view) (words string, pulling bool) {
	reason, message := v.waiting()
	if !slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}, reason) {
		return "", false
	}
	if reason == "ImagePullBackOff" && !strings.Contains(message, "rpc error") && !strings.Contains(message, "ErrImagePull:") {
		e := c.snapshot.latest(uidsOf(v.pod), func(e *corev1.Event) bool {
			return e.Reason == "Failed" && strings.HasPrefix(e.Message, "Failed to pull image") && about(e, v)
		})
		if e != nil {
			return e.Message, true
		}
	}
	return message, true
}

func private() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(unauthori[sz]ed|forbidden|denied|authentication required|no basic auth credentials|authorization failed|insufficient_scope)\b|\bstatus\D{0,12}40[13]\b`)
}

func missing() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(code = NotFound|: not found|manifest unknown|name unknown|manifest for .* not found|does not exist|no match for platform|no matching manifest|no image found in .*manifest|invalid reference format|status\D{0,12}404\b)`)
}

// about reports whether e is about the container of v, where it says so.
func about(e *corev1.Event, v view) bool {
	path := e.InvolvedObject.FieldPath
	return path == "" || strings.HasSuffix(path, "{"+v.spec.Name+"}")
}
