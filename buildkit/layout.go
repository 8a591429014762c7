package buildkit

// A Layout is what an image consists of, on one of its platforms.
type Layout struct {
	Platform string  `json:"platform,omitempty"` // such as linux/arm64
	Digest   string  `json:"digest"`             // of the manifest
	Size     int64   `json:"size"`               // bytes of layers and config: what a node pulls
	Layers   []Layer `json:"layers,omitempty"`   // the lowest first
}

// A Layer is one layer of an image, as registries hold it.
type Layer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`         // bytes, compressed
	By     string `json:"by,omitempty"` // the instruction that made it; not trusted
}
