package solve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/moby/buildkit/util/entitlements"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"

	"github.com/slipway-ci/slipway/buildkit"
)

// frontend is the name of the Dockerfile frontend that is part of every buildkitd.
const frontend = "dockerfile.v0"

// Build builds and returns the image, which lies in the builder's content store
// and nowhere else. The same spec over the same files gives the same digest on
// any machine. watch is called for what happens, one call at a time; nil watches
// nothing.
//
// The error is a *buildkit.SolveError when the Dockerfile or one of its commands
// is to blame, with a *buildkit.RegistryError inside when a registry is; it is
// ctx's cause when ctx ended.
func (b *Builder) Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error) {
	src, err := readSources(ctx, spec)
	if err != nil {
		return buildkit.Image{}, err
	}
	if err := checkAllowed(spec, src.dockerfile); err != nil {
		return buildkit.Image{}, err
	}
	c, err := b.client(ctx)
	if err != nil {
		return buildkit.Image{}, err
	}
	opt, err := b.solveOpt(ctx, spec, src)
	if err != nil {
		return buildkit.Image{}, err
	}
	f := newFollower(spec, watch)
	res, err := c.Solve(ctx, nil, opt, f.start())
	f.wait()
	if err != nil {
		return buildkit.Image{}, f.explain(ctx, err)
	}
	img, err := imageOf(res)
	if err != nil {
		return buildkit.Image{}, err
	}
	if whole, err := b.Has(ctx, img.Digest); err != nil || whole {
		return img, err
	}
	return img, b.fetch(ctx, c, opt, spec, watch)
}

// fetch makes the builder get layers of the base that nothing needed so far:
// BuildKit leaves those in the registry, and whoever pushes or copies the image
// would not find them. Every step is in the cache by now.
func (b *Builder) fetch(ctx context.Context, c *client.Client, opt client.SolveOpt, spec buildkit.Spec, watch func(buildkit.Progress)) error {
	attrs := opt.FrontendAttrs
	opt.Frontend, opt.FrontendAttrs, opt.Exports, opt.Internal = "", nil, nil, true
	f := newFollower(spec, watch)
	_, err := c.Build(ctx, opt, "", func(ctx context.Context, g gateway.Client) (*gateway.Result, error) {
		res, err := g.Solve(ctx, gateway.SolveRequest{Frontend: frontend, FrontendOpt: attrs})
		if err != nil {
			return nil, err
		}
		return gateway.NewResult(), res.EachRef(func(ref gateway.Reference) error {
			_, err := ref.StatFile(ctx, gateway.StatRequest{Path: "."})
			return err
		})
	}, f.start())
	f.wait()
	if err != nil {
		return f.explain(ctx, err)
	}
	return nil
}

// solveOpt says all that a build is, in BuildKit's words.
func (b *Builder) solveOpt(ctx context.Context, spec buildkit.Spec, src *sources) (client.SolveOpt, error) {
	epoch := strconv.FormatInt(spec.Epoch, 10)
	opt := client.SolveOpt{
		Frontend:      frontend,
		FrontendAttrs: map[string]string{"filename": spec.DockerfileName(), "target": spec.Target},
		LocalMounts:   map[string]fsutil.FS{"context": src.context, "dockerfile": src.entry},
		SharedKey:     src.context.digest,
		Session:       []session.Attachable{b.auth(), secretsprovider.FromMap(secretBytes(spec.Secrets))},
		Exports: []client.ExportEntry{{
			Type: client.ExporterImage,
			Attrs: map[string]string{
				string(exptypes.OptKeyPush):             "false",
				string(exptypes.OptKeyOCITypes):         "true",
				string(exptypes.OptKeyRewriteTimestamp): "true",
				string(exptypes.OptKeySourceDateEpoch):  epoch,
			},
		}},
	}
	for name, value := range spec.Args {
		opt.FrontendAttrs["build-arg:"+name] = value
	}
	opt.FrontendAttrs["build-arg:SOURCE_DATE_EPOCH"] = epoch
	if len(spec.Platforms) > 0 {
		opt.FrontendAttrs["platform"] = strings.Join(spec.Platforms, ",")
	}
	if ref := syntaxOf(spec, src.dockerfile).ref; ref == "" || isBuiltin(ref) {
		opt.FrontendAttrs["cmdline"] = "" // keeps a "# syntax=" line from being pulled and run
		delete(opt.FrontendAttrs, "build-arg:BUILDKIT_SYNTAX")
	}
	for _, name := range spec.Allow {
		if _, _, err := entitlements.Parse(name); err == nil {
			opt.AllowedEntitlements = append(opt.AllowedEntitlements, name)
		}
	}
	if err := b.addContexts(ctx, &opt, spec.Contexts); err != nil {
		return opt, err
	}
	var err error
	opt.SourcePolicy, err = pins(spec.Bases)
	return opt, err
}

// addContexts offers earlier images under their names.
func (b *Builder) addContexts(ctx context.Context, opt *client.SolveOpt, contexts map[string]buildkit.Context) error {
	for name, from := range contexts {
		key, err := contextKey(name)
		if err != nil {
			return err
		}
		at, err := b.locate(ctx, from.Image)
		if err != nil {
			return fmt.Errorf("context %s: %w", name, err)
		}
		if at.registry {
			opt.FrontendAttrs[key] = "docker-image://" + at.ref
			continue
		}
		if opt.OCIStores, err = b.stores(ctx); err != nil {
			return err
		}
		opt.FrontendAttrs[key] = "oci-layout://" + storeName + "@" + from.Image.Digest
	}
	return nil
}

// contextKey returns the option under which the frontend looks for a context.
func contextKey(name string) (string, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return "", fmt.Errorf("context %q: %w", name, err)
	}
	return "context:" + strings.TrimSuffix(reference.FamiliarString(named), ":latest"), nil
}

// pins makes every base stand for one digest. It is a policy about sources and
// not a named context: a context also replaces a stage of that name, and
// "FROM node AS node" would lose all that the stage does.
func pins(bases map[string]string) (*spb.Policy, error) {
	policy := &spb.Policy{Version: 1}
	for _, base := range slices.Sorted(maps.Keys(bases)) {
		named, err := reference.ParseNormalizedNamed(base)
		if err != nil {
			return nil, fmt.Errorf("base %q: %w", base, err)
		}
		if _, ok := named.(reference.Digested); ok {
			continue
		}
		from := "docker-image://" + reference.TagNameOnly(named).String()
		policy.Rules = append(policy.Rules, &spb.Rule{
			Action:   spb.PolicyAction_CONVERT,
			Selector: &spb.Selector{Identifier: from, MatchType: spb.MatchType_EXACT},
			Updates:  &spb.Update{Identifier: from + "@" + bases[base]},
		})
	}
	if len(policy.Rules) == 0 {
		return nil, nil
	}
	return policy, nil
}

func secretBytes(in map[string]string) map[string][]byte {
	out := make(map[string][]byte, len(in))
	for id, value := range in {
		out[id] = []byte(value)
	}
	return out
}

// imageOf reads what the exporter answered.
func imageOf(res *client.SolveResponse) (buildkit.Image, error) {
	text, err := base64.StdEncoding.DecodeString(res.ExporterResponse[exptypes.ExporterImageDescriptorKey])
	if err != nil {
		return buildkit.Image{}, fmt.Errorf("descriptor of the image: %w", err)
	}
	var desc ocispecs.Descriptor
	if err := json.Unmarshal(text, &desc); err != nil {
		return buildkit.Image{}, fmt.Errorf("descriptor of the image: %w", err)
	}
	if desc.Digest == "" {
		return buildkit.Image{}, errors.New("the builder returned no image")
	}
	return buildkit.Image{Digest: desc.Digest.String(), MediaType: desc.MediaType, Size: desc.Size}, nil
}
