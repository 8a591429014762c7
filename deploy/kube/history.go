package kube

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
)

// The revisions of a deployment are Secrets beside its inventory, one each:
// they hold the values of the set's Secrets, and so whoever may not read those
// may not read these. Values of Secrets in other namespaces are left out.
const (
	labelHistory  = "slipway.dev/history"  // the id of the deployment's ApplySet
	labelRevision = "slipway.dev/revision" // its number
	labelState    = "slipway.dev/state"

	annotationContent = "slipway.dev/content" // of the whole set; see [deploy.Set.Content]

	revisionType = "slipway.dev/revision"
	revisionKey  = "revision" // JSON, compressed with gzip
	maxRevision  = 700 << 10  // bytes compressed: a Secret holds a MiB, in base64 on the way
	defaultKeep  = 10
)

func secrets() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
}

// A record is a revision in the cluster: its Secret without the content.
type record struct {
	number  int
	state   deploy.State
	content string
	live    *unstructured.Unstructured
	deploy.Revision
}

// Revisions returns what is remembered of a deployment, the newest first.
func (c *Cluster) Revisions(ctx context.Context, set deploy.Set) ([]deploy.Revision, error) {
	if _, err := c.connected(ctx); err != nil {
		return nil, err
	}
	var all []deploy.Revision
	var errs []error
	err := c.readAll(ctx, place{secrets(), set.Namespace}, labelHistory+"="+applySetID(set), func(live map[string]any) {
		r, err := readRevision(live)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", deploy.Object{Body: live}, err))
			return
		}
		all = append(all, r)
	})
	slices.SortFunc(all, func(a, b deploy.Revision) int { return cmp.Compare(b.Number, a.Number) })
	return all, errors.Join(append(errs, err)...)
}

func readRevision(live map[string]any) (r deploy.Revision, err error) {
	text, _ := deploy.Object{Body: live}.Field("data", revisionKey).(string)
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return r, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return r, err
	}
	plain, err := io.ReadAll(io.LimitReader(z, 64<<20))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(plain, &r)
}

// records returns what is remembered, without the content, the newest first.
func (c *Cluster) records(ctx context.Context, set deploy.Set) ([]record, error) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	result := c.conn.raw.Get().AbsPath("/api/v1/namespaces", set.Namespace, "secrets").
		Param("labelSelector", labelHistory+"="+applySetID(set)).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json").Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	body, err := result.Raw()
	if err != nil {
		return nil, err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	var all []record
	for _, item := range list.Items {
		number, err := strconv.Atoi(item.Labels[labelRevision])
		if err != nil {
			continue
		}
		live := &unstructured.Unstructured{}
		live.SetName(item.Name)
		live.SetNamespace(set.Namespace)
		live.SetResourceVersion(item.ResourceVersion)
		all = append(all, record{number: number, state: deploy.State(item.Labels[labelState]), content: item.Annotations[annotationContent], live: live})
	}
	slices.SortFunc(all, func(a, b record) int { return cmp.Compare(b.number, a.number) })
	return all, nil
}

// A remainder is what a run has left that came to no good end.
type remainder struct {
	change deploy.Change // stands for the revision, or for the Lease of a dead run
	wrote  []string      // what the run, and those before it, wrote and nobody has proven; see [deploy.Object.String]
	all    bool          // it is not known what
}

// of reports whether o may be what the run has left.
func (r *remainder) of(o deploy.Object) bool { return r.all || slices.Contains(r.wrote, o.String()) }

// unfinished returns what the last run left if it came to no good end, and nil
// otherwise. Whoever may not read revisions and Leases does not learn of it.
func (c *Cluster) unfinished(ctx context.Context, set deploy.Set) (*remainder, error) {
	found, err := c.records(ctx, set)
	if err != nil {
		return nil, c.unlessForbidden(ctx, "list the revisions of "+set.String(), err)
	}
	conclude := func(kind, name, why string) deploy.Change {
		return deploy.Change{Op: deploy.Conclude, Diff: why, Object: deploy.Object{Body: map[string]any{
			"apiVersion": "slipway.dev/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": set.Namespace},
		}}}
	}
	if len(found) > 0 && found[0].state != deploy.StateProven {
		wrote, err := c.wrote(ctx, found[0])
		if err != nil {
			return nil, c.failed(ctx, fmt.Sprintf("read revision %d of %s", found[0].number, set), err)
		}
		why := map[deploy.State]string{deploy.StateFailed: "it failed, and is judged again"}[found[0].state]
		change := conclude("Revision", strconv.Itoa(found[0].number), cmp.Or(why, "its run did not end, and it is judged again"))
		return &remainder{change: change, wrote: wrote, all: wrote == nil}, nil
	}
	lock, err := c.Locked(ctx, set)
	if err != nil {
		return nil, c.unlessForbidden(ctx, "read the Lease of "+set.String(), err)
	}
	if lock != nil && lock.Expired(now()) {
		return &remainder{change: conclude("Lease", parentName(set), "a run that died left it")}, nil
	}
	return nil, nil //nolint:nilnil // all is well
}

// wrote returns what was written up to a revision and is not proven.
func (c *Cluster) wrote(ctx context.Context, r record) ([]string, error) {
	limited, cancel := c.limit(ctx)
	defer cancel()
	live, err := c.conn.dynamic.Resource(secrets()).Namespace(r.live.GetNamespace()).Get(limited, r.live.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	revision, err := readRevision(live.Object)
	return revision.Wrote, err
}

func (c *Cluster) unlessForbidden(ctx context.Context, doing string, err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		c.log().Debug("kube", "cannot", doing, "err", err)
		return nil
	}
	return c.failed(ctx, doing, err)
}

// begin remembers set as a revision that is pending, before what writes lists is
// written. What was applied before and is applied again is no new revision. It
// returns nil where nothing is to be remembered: nothing is written, and the
// newest revision is that, and proven.
func (c *Cluster) begin(ctx context.Context, set deploy.Set, run deploy.Run, restores int, writes []string) (*record, error) {
	found, err := c.records(ctx, set)
	if err != nil {
		return nil, c.failed(ctx, "list the revisions of "+set.String(), err)
	}
	r := &record{number: 1, content: set.Content()}
	again := false
	if len(found) > 0 {
		if again = found[0].content == r.content; again {
			r.number, r.live = found[0].number, found[0].live
		} else {
			r.number = found[0].number + 1
		}
		if again && len(writes) == 0 && found[0].state == deploy.StateProven {
			return nil, nil //nolint:nilnil // it is remembered already
		}
	}
	wrote := append([]string{}, writes...)
	if len(found) > 0 && found[0].state != deploy.StateProven {
		before, err := c.wrote(ctx, found[0])
		if err != nil {
			return nil, c.failed(ctx, fmt.Sprintf("read revision %d of %s", found[0].number, set), err)
		}
		if wrote = append(wrote, before...); before == nil {
			wrote = nil
		}
		slices.Sort(wrote)
		wrote = slices.Compact(wrote)
	}
	kept, hidden := withoutForeignSecrets(set)
	r.Revision = deploy.Revision{Number: r.number, State: deploy.StatePending, Set: kept, Hidden: hidden, Run: run, Began: now(), Restores: restores, Wrote: wrote}
	return r, c.write(ctx, r)
}

// conclude remembers how a revision ended, and forgets the oldest.
func (c *Cluster) conclude(ctx context.Context, r *record, verdicts []deploy.Verdict, failure error) error {
	r.Ended, r.State = now(), deploy.StateProven
	if failure != nil {
		r.State, r.Cause = deploy.StateFailed, firstLine(failure.Error())
	}
	for _, v := range verdicts {
		if v.Code != deploy.Applied {
			v.Log = nil // it may hold anything
			r.Verdicts = append(r.Verdicts, v)
		}
	}
	if err := c.write(ctx, r); err != nil {
		return err
	}
	return c.forget(ctx, r.Set)
}

// write makes or replaces the Secret of a revision.
func (c *Cluster) write(ctx context.Context, r *record) error {
	packed, err := pack(r.Revision)
	if err != nil {
		return err
	}
	labels := map[string]any{labelHistory: applySetID(r.Set), labelRevision: strconv.Itoa(r.number), labelState: string(r.State)}
	for label, value := range marks(r.Set) {
		if label != labelPartOf {
			labels[label] = value
		}
	}
	body := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": revisionType,
		"metadata": map[string]any{
			"name": objectName(parentName(r.Set) + ".v" + strconv.Itoa(r.number)), "namespace": r.Set.Namespace,
			"labels": labels, "annotations": map[string]any{annotationContent: r.content},
		},
		"data": map[string]any{revisionKey: base64.StdEncoding.EncodeToString(packed)},
	}}
	limited, cancel := c.limit(ctx)
	defer cancel()
	client := c.conn.dynamic.Resource(secrets()).Namespace(r.Set.Namespace)
	if r.live != nil {
		body.SetResourceVersion(r.live.GetResourceVersion())
	}
	r.live, err = settle(limited, client, body, func(there *unstructured.Unstructured) bool {
		return reflect.DeepEqual(there.Object["data"], body.Object["data"])
	})
	return c.failed(ctx, fmt.Sprintf("remember revision %d of %s", r.number, r.Set), err)
}

// pack returns a revision as it is stored. Of one that would not fit, the
// objects are left out: it can be told, but not gone back to.
func pack(r deploy.Revision) ([]byte, error) {
	for {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := z.Write(text); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		if packed.Len() <= maxRevision || r.Set.Objects == nil {
			return packed.Bytes(), nil
		}
		r.Set.Objects = nil
	}
}

// withoutForeignSecrets returns set without the values of Secrets outside of its
// namespace, and which those are.
func withoutForeignSecrets(set deploy.Set) (kept deploy.Set, hidden []string) {
	kept = set
	kept.Objects = slices.Clone(set.Objects)
	for i, o := range kept.Objects {
		if o.Kind() != "Secret" || o.Group() != "" || cmp.Or(o.Namespace(), set.Namespace) == set.Namespace {
			continue
		}
		kept.Objects[i].Body = without(without(o.Body, []string{"data"}), []string{"stringData"})
		hidden = append(hidden, o.String())
	}
	return kept, hidden
}

// forget deletes the oldest revisions: those beyond what is kept, but never the
// newest that was proven.
func (c *Cluster) forget(ctx context.Context, set deploy.Set) error {
	found, err := c.records(ctx, set)
	if err != nil {
		return c.failed(ctx, "list the revisions of "+set.String(), err)
	}
	proven := slices.IndexFunc(found, func(r record) bool { return r.state == deploy.StateProven })
	for n, r := range found {
		if n < cmp.Or(c.Keep, defaultKeep) || n == proven {
			continue
		}
		limited, cancel := c.limit(ctx)
		err := c.conn.dynamic.Resource(secrets()).Namespace(set.Namespace).Delete(limited, r.live.GetName(), metav1.DeleteOptions{})
		cancel()
		if err := unlessGone(err); err != nil {
			return c.failed(ctx, fmt.Sprintf("forget revision %d of %s", r.number, set), err)
		}
	}
	return nil
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}
