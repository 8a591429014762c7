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
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	spb "github.com/moby/buildkit/sourcepolicy/pb"
	"github.com/moby/buildkit/util/entitlements"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// frontend is the name of the Dockerfile frontend that is part of every buildkitd.
const frontend = "dockerfile.v0"

// Build builds and returns the image, which lies in the builder's content store
// and nowhere else. The same spec over the same files gives the same digest on
// any machine; a buildkitd elsewhere compresses layers by other means than
// [github.com/slipway-ci/slipway/buildkit/embed], so its digests are others. watch is called for what happens, one call at a time; nil watches
// nothing.
//
// The error is a *buildkit.SolveError when the Dockerfile or one of its commands
// is to blame, with a *buildkit.RegistryError inside when a registry is; it is
// ctx's cause when ctx ended.
func (b *Builder) Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error) {
	src, err := readSources(ctx, spec, b.Known)
	if err != nil {
		return buildkit.Image{}, err
	}
	defer src.close()
	if err := checkAllowed(spec, src.dockerfile); err != nil {
		return buildkit.Image{}, err
	}
	c, err := b.client(ctx)
	if err != nil {
		return buildkit.Image{}, err
	}
	f := newFollower(spec, watch)
	opt, err := b.solveOpt(ctx, spec, src, func(err error) {
		f.say(buildkit.Progress{Warning: &buildkit.Warning{Text: cacheLeftOut + err.Error()}})
	})
	if err != nil {
		return buildkit.Image{}, err
	}
	b.send(ctx, c, &opt, src.trees())
	res, err := c.Solve(ctx, nil, opt, f.start())
	f.wait()
	for imported := len(opt.CacheImports) > 0; err != nil && ctx.Err() == nil && less(&opt, imported, err); {
		f.say(buildkit.Progress{Warning: &buildkit.Warning{Text: cacheLeftOut + trimmed(err)}})
		f = newFollower(spec, watch)
		res, err = c.Solve(ctx, nil, opt, f.start())
		f.wait()
	}
	if err != nil {
		return buildkit.Image{}, src.sized(f.explain(ctx, err))
	}
	img, err := imageOf(res)
	if err != nil {
		return buildkit.Image{}, err
	}
	whole, err := b.Has(ctx, img.Digest)
	if err != nil {
		return buildkit.Image{}, err
	}
	again := afterwards(opt)
	if !whole {
		if err := b.fetch(ctx, c, again, spec, watch); err != nil {
			return buildkit.Image{}, err
		}
	}
	return img, b.attest(ctx, c, again, spec, img, watch)
}

// afterwards returns what a further solve of what was just built is: every step
// is in the cache by now, and has to be taken from there.
func afterwards(opt client.SolveOpt) client.SolveOpt {
	opt.FrontendAttrs = maps.Clone(opt.FrontendAttrs)
	delete(opt.FrontendAttrs, "no-cache")
	opt.CacheExports, opt.CacheImports = nil, nil
	return opt
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
func (b *Builder) solveOpt(ctx context.Context, spec buildkit.Spec, src *sources, warn func(error)) (client.SolveOpt, error) {
	epoch := strconv.FormatInt(spec.Result.Epoch, 10)
	opt := client.SolveOpt{
		Frontend:      frontend,
		FrontendAttrs: map[string]string{"filename": spec.DockerfileName(), "target": spec.Target},
		Session:       []session.Attachable{b.auth(), secretsprovider.FromMap(secretBytes(spec.Secrets))},
		Exports:       []client.ExportEntry{{Type: client.ExporterImage, Attrs: exported(spec, epoch)}},
		CacheExports:  b.cacheOptions(spec.Cache.To, warn),
		CacheImports:  b.cacheOptions(spec.Cache.From, warn),
	}
	if b.Docker { // an image without a name, as docker build makes it; docker image prune takes it away
		opt.Exports[0].Attrs[string(exptypes.OptKeyDanglingPrefix)] = "moby-dangling"
	}
	attrs := opt.FrontendAttrs
	for name, value := range spec.Args {
		attrs["build-arg:"+name] = value
	}
	attrs["build-arg:SOURCE_DATE_EPOCH"] = epoch
	for name, value := range spec.Result.Labels {
		attrs["label:"+name] = value
	}
	if len(spec.Platforms) > 0 {
		attrs["platform"] = strings.Join(spec.Platforms, ",")
	}
	if ref := syntaxOf(spec, src.dockerfile).ref; ref == "" || isBuiltin(ref) {
		attrs["cmdline"] = "" // keeps a "# syntax=" line from being pulled and run
		delete(attrs, "build-arg:BUILDKIT_SYNTAX")
	}
	for _, name := range spec.Allow {
		if _, _, err := entitlements.Parse(name); err == nil {
			opt.AllowedEntitlements = append(opt.AllowedEntitlements, name)
		}
	}
	ways(attrs, spec.Run)
	if len(spec.SSH) > 0 {
		agents, err := sshAgents(spec.SSH)
		if err != nil {
			return opt, err
		}
		opt.Session = append(opt.Session, agents)
	}
	for name := range src.folders {
		key, err := contextKey(name)
		if err != nil {
			return opt, err
		}
		attrs[key] = "local:" + mountOf(name)
	}
	if err := b.addContexts(ctx, &opt, spec.Contexts); err != nil {
		return opt, err
	}
	var err error
	opt.SourcePolicy, err = pins(spec.Bases)
	return opt, err
}

// exported says what the image is besides its files.
func exported(spec buildkit.Spec, epoch string) map[string]string {
	r := spec.Result
	attrs := map[string]string{
		string(exptypes.OptKeyPush):             "false",
		string(exptypes.OptKeyOCITypes):         "true",
		string(exptypes.OptKeyRewriteTimestamp): "true",
		string(exptypes.OptKeySourceDateEpoch):  epoch,
	}
	for name, value := range r.Annotations {
		attrs[exptypes.AnnotationManifestKey(nil, name)] = value
		if len(spec.Platforms) > 1 {
			attrs[exptypes.AnnotationIndexKey(name)] = value
		}
	}
	if r.Compression.Type != "" {
		attrs[string(exptypes.OptKeyLayerCompression)] = r.Compression.Type
		attrs[string(exptypes.OptKeyForceCompression)] = "true" // else layers of the base keep theirs, or not, as the cache has it
	}
	if r.Compression.Level != 0 {
		attrs[string(exptypes.OptKeyCompressionLevel)] = strconv.Itoa(r.Compression.Level)
	}
	return attrs
}

// ways says how RUN runs.
func ways(attrs map[string]string, run buildkit.Run) {
	if run.Network != "" {
		attrs["force-network-mode"] = run.Network
	}
	var limits []string
	for _, name := range slices.Sorted(maps.Keys(run.Ulimits)) {
		limits = append(limits, name+"="+run.Ulimits[name])
	}
	if len(limits) > 0 {
		attrs["ulimit"] = strings.Join(limits, ",")
	}
	if run.NoCache {
		attrs["no-cache"] = ""
	}
}

// sshAgents offers keys and agents to RUN --mount=type=ssh.
func sshAgents(ssh map[string]string) (session.Attachable, error) {
	var agents []sshprovider.AgentConfig
	for _, id := range slices.Sorted(maps.Keys(ssh)) {
		a := sshprovider.AgentConfig{ID: id}
		if ssh[id] != "" {
			a.Paths = []string{ssh[id]}
		}
		agents = append(agents, a)
	}
	attachable, err := sshprovider.NewSSHAgentProvider(agents)
	if err != nil {
		return nil, fmt.Errorf("ssh: %w (start an agent, or name a key)", err)
	}
	return attachable, nil
}

// addContexts offers earlier images under their names.
func (b *Builder) addContexts(ctx context.Context, opt *client.SolveOpt, contexts map[string]buildkit.Context) error {
	for name, from := range contexts {
		if from.Folder != "" {
			continue
		}
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
