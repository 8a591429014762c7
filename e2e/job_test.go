package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// inCluster is a tree whose pipeline runs in the cluster: two images, one of which is not pushed,
// a test, a rollout and a question to it. %s are the registry as pods reach it and as nodes do, and
// the namespaces of staging and production.
const inClusterPipeline = `slipway: v1
name: it
registries: {%[1]q: {http: true, pullAs: %[2]q}}
vars:
  registry: {env: REGISTRY}
environments:
  staging: {namespace: %[3]s, context: not-in-pods}
  production: {namespace: %[4]s, promotes: staging}
release: {repository: "${{ vars.registry }}/releases"}
stages:
  base:
    build: {context: base}
  web:
    build: {context: app, contexts: {base: "${{ stages.base.image }}"}, push: "${{ vars.registry }}/web"}
  unit:
    exec: {image: "${{ stages.web.image }}", command: [/bin/busybox, grep, hello, /www/a.html], user: "0"}
  rollout:
    needs: [unit]
    timeout: 90s
    deploy: {kustomize: deploy, images: {web: "${{ stages.web.image }}"}}
  smoke:
    needs: [rollout]
    verify: {http: {url: "http://web/a.html", in: cluster, body: hello}}
`

// inClusterTree is that tree in a folder of git's, committed.
func inClusterTree(t *testing.T, pods, staging, production string) string {
	t.Helper()
	dir := files{
		"slipway.yaml":    fmt.Sprintf(inClusterPipeline, pods, sharedRegistry().host, staging, production),
		"base/busybox":    "",
		"base/Dockerfile": "FROM scratch\nCOPY busybox /bin/busybox\n",
		"app/a.html":      "hello\n",
		"app/Dockerfile":  "FROM base\nRUN [\"/bin/busybox\", \"mkdir\", \"/www\"]\nCOPY a.html /www/\nUSER 65532\nCMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
		"deploy/kustomization.yaml": `resources: [web.yaml]
configMapGenerator: [{name: settings, literals: [color=red]}, {name: old, options: {disableNameSuffixHash: true}, literals: [a=b]}]
`,
		"deploy/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: web
          envFrom: [{configMapRef: {name: settings}}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          readinessProbe: {httpGet: {path: /a.html, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`,
	}.write(t)
	git(t, dir, "init", "-q")
	commitAll(t, dir)
	return dir
}

func commitAll(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "change")
}

// replaceIn changes a file of a tree.
func replaceIn(t *testing.T, path, old, with string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := edit{old, with}.apply(t, string(text))
	if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
}

// secure makes a namespace refuse pods that are not of a level of Pod Security.
func (c *cluster) secure(t *testing.T, ns, level string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	if _, err := c.client.CoreV1().Namespaces().Patch(t.Context(), ns, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestJob builds in a pod without privileges or rights, and rolls out from another, whose account
// may do what it needs and nothing else: a first release, a second that prunes, one that fails, and
// the promotion of the second, which builds nothing.
func TestJob(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	staging, production, builds := c.namespace(t), c.namespace(t), c.namespace(t)
	c.secure(t, staging, "restricted")
	c.secure(t, production, "restricted")
	pods := sharedRegistry().inside(t)
	image := pushBuilder(t, staging+"/slipway")
	dir := inClusterTree(t, pods, staging, production)
	registry := pods + "/" + staging
	as := ourselves(t)
	job := func(env string, more ...string) *session {
		return call{
			Dir: dir, Cluster: c, Env: []string{"REGISTRY=" + registry},
			Args: append([]string{"job", "-e", env, "--apply", "--context", currentContext(t, c), "--image", image, "--build-namespace", builds, "--deadline", "3m"}, more...),
		}.start(t, as)
	}
	cleanRoles(t, c, staging, "it-staging")
	cleanRoles(t, c, production, "it-production")

	c.volume(t, builds, "it-staging-cache", as.home)

	first := job("staging", "--cache", "1Gi").end(3*time.Minute).want(t, 0)
	first.says(t, "tree pushed: ", "pushed  "+registry+"/web", "proven  1/1 pods run sha256:", "200, as wanted", "release pushed: ")
	if got := c.accountsOf(t, staging, builds); got != "it-staging-builder it-staging-deployer" {
		t.Errorf("accounts are %s", got)
	}
	if rules := c.rulesOf(t, builds); len(rules) > 0 {
		t.Errorf("where it builds, roles are %v", rules)
	}
	c.closed(t, builds, "it-staging-builder", "builder", "0.0.0.0/0 but 169.254.169.254/32 169.254.170.0/24, ::/0 but fd00:ec2::/32")
	c.closed(t, staging, "it-staging-deployer", "deployer", "")
	rules := c.rulesOf(t, staging)

	// Another release, with another image, config of another name, and without an object.
	replaceIn(t, filepath.Join(dir, "app/a.html"), "hello", "hello again")
	replaceIn(t, filepath.Join(dir, "deploy/kustomization.yaml"), "color=red", "color=blue")
	replaceIn(t, filepath.Join(dir, "deploy/kustomization.yaml"), ", {name: old, options: {disableNameSuffixHash: true}, literals: [a=b]}", "")
	commitAll(t, dir)
	second := job("staging", "--cache", "1Gi").end(3*time.Minute).want(t, 0)
	second.says(t, "COPY busybox /bin/busybox  cached") // the claim has kept it
	second.says(t, "ConfigMap "+staging+"/old  deleted", "proven  1/1 pods run sha256:")
	if again := c.rulesOf(t, staging); fmt.Sprint(again) != fmt.Sprint(rules) {
		t.Errorf("the rules were\n%v\nand are\n%v", rules, again)
	}

	// Production takes that, and has no builder.
	promoted := job("production").end(2*time.Minute).want(t, 0)
	promoted.says(t, "taken from release", "proven  1/1 pods run sha256:")
	if got := c.accountsOf(t, production); got != "it-production-deployer" {
		t.Errorf("accounts of production are %s", got)
	}
	if a, b := c.webDigest(t, staging), c.webDigest(t, production); a != b || a == "" {
		t.Errorf("staging runs %q, production %q", a, b)
	}

	// What fails ends as it does elsewhere, with its cause.
	replaceIn(t, filepath.Join(dir, "deploy/web.yaml"), "readinessProbe:", "command: [/bin/busybox, sh, -c, echo gone wrong; exit 3]\n          readinessProbe:")
	commitAll(t, dir)
	red := job("staging").end(2*time.Minute).want(t, 7)
	red.says(t, "crash-loop", "gone wrong", "failed, exit code 7: ")

	// The commit that is proven can be asked for, whatever the tree is at.
	job("staging", "--ref", "deployed:staging").end(2*time.Minute).want(t, 0).says(t, "proven  1/1 pods run sha256:"+strings.TrimPrefix(c.webDigest(t, production), "sha256:"))
	replaceIn(t, filepath.Join(dir, "app/Dockerfile"), "RUN [\"/bin/busybox\", \"mkdir\"", "RUN [\"/bin/busybox\", \"nothing\"")
	commitAll(t, dir)
	broken := job("staging").end(2*time.Minute).want(t, 4)
	if strings.Contains(broken.Stderr, "-deploy-") {
		t.Errorf("what was not built was deployed:\n%s", broken.Stderr)
	}

	// A pod that is told to go leaves what the next one goes on with.
	git(t, dir, "reset", "-q", "--hard", "HEAD~2")
	replaceIn(t, filepath.Join(dir, "deploy/web.yaml"), "periodSeconds: 1", "periodSeconds: 1, initialDelaySeconds: 6")
	commitAll(t, dir)
	ended := job("staging")
	ended.says("0/1 ready, 1 pod starting")
	list, err := c.client.CoreV1().Pods(staging).List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/part=deployer", FieldSelector: "status.phase=Running"})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d pods deploy, %v", len(list.Items), err)
	}
	if err := c.client.CoreV1().Pods(staging).Delete(t.Context(), list.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ended.end(time.Minute).want(t, 143).says(t, "interrupted by signal: terminated")
	if leases, err := c.client.CoordinationV1().Leases(staging).List(t.Context(), metav1.ListOptions{}); err != nil || len(leases.Items) > 0 {
		t.Errorf("the Lease is left: %v, %v", leases, err)
	}
	if pending := c.revisionsIn(t, staging, "pending"); pending != 1 {
		t.Errorf("%d revisions are pending", pending)
	}
	job("staging").end(2*time.Minute).want(t, 0).says(t, "proven  1/1 pods run sha256:")
	if pending := c.revisionsIn(t, staging, "pending"); pending != 0 {
		t.Errorf("%d revisions are still pending", pending)
	}
	job("staging", "--deadline", "1s").end(time.Minute).want(t, 124).says(t, "DeadlineExceeded")
}

// TestJobRules takes away each rule of the deployer's roles: then a release fails, or says less.
func TestJobRules(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	staging, builds := c.namespace(t), c.namespace(t)
	pods := sharedRegistry().inside(t)
	image := pushBuilder(t, staging+"/slipway")
	dir := inClusterTree(t, pods, staging, "nowhere")
	registry := pods + "/" + staging
	as := ourselves(t)
	cleanRoles(t, c, staging, "it-staging")
	env := []string{"REGISTRY=" + registry}
	call{Dir: dir, Cluster: c, Env: env, Args: []string{
		"job", "-e", "staging", "--apply", "--context", currentContext(t, c), "--image", image, "--build-namespace", builds, "--deadline", "3m",
	}}.start(t, as).end(3*time.Minute).want(t, 0)

	// From here on slipway runs on this machine, and is the deployer.
	token, err := c.client.CoreV1().ServiceAccounts(staging).CreateToken(t.Context(), "it-staging-deployer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deployer := &cluster{dir: c.dir, client: c.client, kubeconfig: c.kubeconfigFor(t, "", token.Status.Token)}
	replaceIn(t, filepath.Join(dir, "slipway.yaml"), ", context: not-in-pods", "")
	replaceIn(t, filepath.Join(dir, "slipway.yaml"), "timeout: 90s", "timeout: 45s") // what fails waits for it, and what works has to on a busy machine
	release := registry + "/releases:" + strings.TrimSpace(gitSays(t, dir, "rev-parse", "HEAD")) + "-staging"
	n := 0
	// Each release differs from the one before it in what it has of every kind.
	next := func() result {
		t.Helper()
		n++
		text := fmt.Sprintf("resources: [web.yaml]\nconfigMapGenerator: [{name: settings, literals: [color=%d]}, {name: only-%[1]d, options: {disableNameSuffixHash: true}, literals: [a=b]}]\n", n)
		if err := os.WriteFile(filepath.Join(dir, "deploy/kustomization.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return call{Dir: dir, Cluster: deployer, Env: env, Args: []string{"run", "-e", "staging", "--from", release}}.start(t, as).end(2 * time.Minute)
	}
	next().want(t, 0).says(t, fmt.Sprintf("ConfigMap %s/old  deleted", staging))

	roles := c.rolesOf(t, staging)
	tried := 0
	for _, role := range roles {
		for i, rule := range role.rules {
			tried++
			name := strings.Join(rule.Resources, ",") + " " + strings.Join(rule.ResourceNames, ",")
			c.setRules(t, role, slices.Delete(slices.Clone(role.rules), i, i+1))
			c.allowed(t, staging, rule, false)
			switch resource := rule.Resources[0]; resource {
			case "events", "pods/log": // without them, it knows less of what went wrong
				web := filepath.Join(dir, "deploy/web.yaml")
				good, err := os.ReadFile(web)
				if err != nil {
					t.Fatal(err)
				}
				broken := map[string][]edit{
					"events": {
						{"terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 0\n      volumes: [{name: v, configMap: {name: missing}}]"},
						{"image: web", "image: web\n          volumeMounts: [{name: v, mountPath: /v}]"},
					},
					"pods/log": {{"readinessProbe:", "command: [/bin/busybox, sh, -c, echo gone wrong; exit 3]\n          readinessProbe:"}},
				}[resource]
				cause := map[string]string{"events": `configmap "missing" not found`, "pods/log": "gone wrong"}[resource]
				for _, e := range broken {
					replaceIn(t, web, e.old, e.new)
				}
				less := next().want(t, 7)
				c.setRules(t, role, role.rules)
				c.allowed(t, staging, rule, true)
				more := next().want(t, 7)
				if told, all := told(less, cause), told(more, cause); told || !all {
					t.Errorf("%s: without it the cause is told: %v, with it: %v\n%s\n%s", name, told, all, less.Stderr+less.Stdout, more.Stderr+more.Stdout)
				}
				if err := os.WriteFile(web, good, 0o644); err != nil {
					t.Fatal(err)
				}
				next().want(t, 0)
			default:
				got := next()
				if got.Code == 0 || !strings.Contains(got.Stderr, "forbidden") && !strings.Contains(got.Stderr, "says 403") {
					t.Errorf("without the rule about %s (%v), exit code %d:\n%s", name, rule.Verbs, got.Code, got.Stderr)
				}
				c.setRules(t, role, role.rules)
				c.allowed(t, staging, rule, true)
				if resource == "leases" { // it could not be given back
					leases := c.client.CoordinationV1().Leases(staging)
					if err := leases.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	next().want(t, 0).says(t, "proven  1/1 pods run sha256:")
	if want := 14; tried != want {
		t.Errorf("there are %d rules, want %d", tried, want)
	}
}

// told reports whether the verdict of a run has a cause, and not only its log.
func told(r result, cause string) bool { return strings.Contains(r.Stdout+r.Stderr, cause) }

// heldRole is a Role, or a ClusterRole where it has no namespace.
type heldRole struct {
	namespace, name string
	rules           []rbacv1.PolicyRule
}

// rolesOf returns the roles of the deployers of a namespace.
func (c *cluster) rolesOf(t *testing.T, ns string) []heldRole {
	t.Helper()
	var all []heldRole
	wide, err := c.client.RbacV1().ClusterRoles().List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/part=deployer"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range wide.Items {
		if strings.HasPrefix(r.Name, "slipway-"+ns+"-") {
			all = append(all, heldRole{"", r.Name, r.Rules})
		}
	}
	roles, err := c.client.RbacV1().Roles(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles.Items {
		all = append(all, heldRole{ns, r.Name, r.Rules})
	}
	return all
}

func (c *cluster) rulesOf(t *testing.T, ns string) []rbacv1.PolicyRule {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, r := range c.rolesOf(t, ns) {
		rules = append(rules, r.rules...)
	}
	return rules
}

func (c *cluster) setRules(t *testing.T, r heldRole, rules []rbacv1.PolicyRule) {
	t.Helper()
	var err error
	if r.namespace == "" {
		var role *rbacv1.ClusterRole
		if role, err = c.client.RbacV1().ClusterRoles().Get(t.Context(), r.name, metav1.GetOptions{}); err == nil {
			role.Rules = rules
			_, err = c.client.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{})
		}
	} else {
		var role *rbacv1.Role
		if role, err = c.client.RbacV1().Roles(r.namespace).Get(t.Context(), r.name, metav1.GetOptions{}); err == nil {
			role.Rules = rules
			_, err = c.client.RbacV1().Roles(r.namespace).Update(t.Context(), role, metav1.UpdateOptions{})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// allowed waits until the deployer is allowed what a rule says, or is not any more.
func (c *cluster) allowed(t *testing.T, ns string, rule rbacv1.PolicyRule, want bool) {
	t.Helper()
	resource, sub, _ := strings.Cut(rule.Resources[0], "/")
	ask := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + ns + ":it-staging-deployer",
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: ns, Group: rule.APIGroups[0], Resource: resource, Subresource: sub, Verb: rule.Verbs[0],
		},
	}}
	if len(rule.ResourceNames) > 0 {
		ask.Spec.ResourceAttributes.Name = rule.ResourceNames[0]
	}
	eventually(t, 10*time.Second, func(ctx context.Context) error {
		got, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, ask, metav1.CreateOptions{})
		if err == nil && got.Status.Allowed != want {
			err = fmt.Errorf("%v is allowed: %v", ask.Spec.ResourceAttributes, got.Status.Allowed)
		}
		return err
	})
}

// accountsOf returns the names of the accounts that slipway made in namespaces.
func (c *cluster) accountsOf(t *testing.T, namespaces ...string) string {
	t.Helper()
	var names []string
	for _, ns := range namespaces {
		list, err := c.client.CoreV1().ServiceAccounts(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/part"})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list.Items {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// revisionsIn returns how many revisions of a namespace are in a state.
func (c *cluster) revisionsIn(t *testing.T, ns, state string) int {
	t.Helper()
	list, err := c.client.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/state=" + state})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// webDigest returns the digest that the pod of web runs.
func (c *cluster) webDigest(t *testing.T, ns string) string {
	t.Helper()
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods.Items) != 1 || len(pods.Items[0].Status.ContainerStatuses) != 1 {
		t.Fatalf("%d pods in %s", len(pods.Items), ns)
	}
	_, digest, _ := strings.Cut(pods.Items[0].Status.ContainerStatuses[0].ImageID, "@")
	return digest
}

// volume is a folder on the node, for a claim that is yet to come: nothing makes volumes here.
func (c *cluster) volume(t *testing.T, ns, claim, parent string) {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "volume-")
	if err == nil {
		err = os.Chown(dir, 1000, 1000) // fsGroup is for volumes that somebody else made
	}
	if err != nil {
		t.Fatal(err)
	}
	volumes, kind := c.client.CoreV1().PersistentVolumes(), corev1.HostPathDirectory
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: ns}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		ClaimRef:                      &corev1.ObjectReference{Namespace: ns, Name: claim},
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
		PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir, Type: &kind}},
	}}
	if _, err := volumes.Create(t.Context(), pv, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	afterwards(t, func(ctx context.Context) error { return volumes.Delete(ctx, ns, metav1.DeleteOptions{}) })
}

// closed checks that a NetworkPolicy is about the pods of a part alone, lets nobody in, and where
// it lets them reach; "" stands for no word about that. Whether a network obeys cannot be seen
// here: this node's does not.
func (c *cluster) closed(t *testing.T, ns, name, part, reach string) {
	t.Helper()
	p, err := c.client.NetworkingV1().NetworkPolicies(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, rule := range p.Spec.Egress {
		for _, peer := range rule.To {
			to = append(to, peer.IPBlock.CIDR+" but "+strings.Join(peer.IPBlock.Except, " "))
		}
	}
	if got := strings.Join(to, ", "); got != reach || len(p.Spec.Ingress) > 0 || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) || slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) != (reach != "") {
		t.Errorf("%s says %+v", name, p.Spec)
	}
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&p.Spec.PodSelector)})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].Labels["slipway.dev/part"] != part {
		t.Errorf("%s is about %d pods, want that of the %s: %v", name, len(pods.Items), part, err)
	}
}

// currentContext is what the kubeconfig of a cluster calls it.
func currentContext(t *testing.T, c *cluster) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config.CurrentContext
}

// cleanRoles deletes what slipway job makes outside of namespaces, when the test is over.
func cleanRoles(t *testing.T, c *cluster, ns, name string) {
	name = "slipway-" + ns + "-" + name + "-deployer"
	name = name[:min(len(name), 253)]
	afterwards(t, func(ctx context.Context) error {
		var errs []error
		for _, err := range []error{
			c.client.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{}),
			c.client.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{}),
		} {
			if !apierrors.IsNotFound(err) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	})
}
