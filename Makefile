# make builds and checks; make demo shows what slipway is for.
SHELL := /bin/bash
.DEFAULT_GOAL := default

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null)
ARCH     := $(shell go env GOARCH)
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo)
LINT     := v2.15.0
# One set of flags for the e2e module: any other compiles all of Kubernetes again.
E2E      := GOFLAGS= go
E2EFLAGS := -trimpath -gcflags=all=-dwarf=false
KUBE     := k8s.io/component-base/version
# What builds and tests need from Debian or Ubuntu, and for what.
PACKAGES := git gcc libc6-dev pkg-config libseccomp-dev uidmap busybox-static $(shell awk '{print $$2}' e2e/cluster/packages.txt | sort -u)

# Two sets of flags for the main module, this one and -race: each compiles BuildKit and client-go once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

.PHONY: action browser node default fmt vet lint unit race fuzz bench bench-gate golden e2e docker ssh many mutate cross test build runc deps demo demo-down deps-foreign release image clean bin/floor

default: vet lint unit build

build: runc ## bin/slipway, one static file
	go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/slipway ./cmd/slipway

runc: buildkit/embed/bin/$(ARCH)/runc.gz ## the container runtime inside it, with seccomp

buildkit/embed/bin/%/runc.gz: buildkit/embed/runc/go.mod | deps
	$(CROSS) GOARCH=$* CGO_ENABLED=1 GOFLAGS= go -C buildkit/embed/runc build -trimpath -buildvcs=false -tags 'seccomp netgo osusergo' -ldflags '-s -w -extldflags "-static"' -o ../bin/$*/runc github.com/opencontainers/runc && gzip -9nf buildkit/embed/bin/$*/runc

# The other architecture of a release: Debian has its compiler and its libseccomp.
FOREIGN      := $(if $(filter amd64,$(ARCH)),arm64,amd64)
TRIPLE_arm64 := aarch64-linux-gnu
TRIPLE_amd64 := x86_64-linux-gnu
TRIPLE       := $(TRIPLE_$(FOREIGN))
buildkit/embed/bin/$(FOREIGN)/runc.gz: CROSS = CC=$(TRIPLE)-gcc PKG_CONFIG_LIBDIR=/usr/lib/$(TRIPLE)/pkgconfig
buildkit/embed/bin/$(FOREIGN)/runc.gz: | deps-foreign

deps-foreign: deps
	@command -v $(TRIPLE)-gcc >/dev/null && dpkg -s libseccomp-dev:$(FOREIGN) >/dev/null 2>&1 || { echo "installing, to compile for $(FOREIGN): a compiler and libseccomp"; $(SUDO) dpkg --add-architecture $(FOREIGN) && $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc-$(subst _,-,$(TRIPLE)) libc6-dev-$(FOREIGN)-cross libseccomp-dev:$(FOREIGN); }

release: buildkit/embed/bin/amd64/runc.gz buildkit/embed/bin/arm64/runc.gz ## dist/: binaries, checksums, SBOM, notices, manual pages
	go run ./cmd/release -o dist -version '$(VERSION)' -epoch $$(git log -1 --format=%ct)

image: release build ## slipway's own image, built by slipway: pushed to SLIPWAY_REPOSITORY
	go run ./cmd/image && bin/slipway run --var version='$(VERSION)'

bin/slipway-cluster: $(wildcard e2e/cluster/*.go) e2e/go.mod ## a Kubernetes for tests; compiling it takes minutes, once
	set -o pipefail; $(E2E) -C e2e build -v $(E2EFLAGS) -ldflags '-s -w -X $(KUBE).gitVersion=v1.36.3 -X $(KUBE).gitMajor=1 -X $(KUBE).gitMinor=36 -X $(KUBE).gitTreeState=clean' -o ../bin/slipway-cluster ./cluster 2>&1 | awk '/^[^ ]+$$/ {if (++n % 100 == 0) print "compiling Kubernetes for tests, once: " n " of at most 2800 packages"; fflush(); next} {print}' 

bin/golangci-lint-$(LINT):
	GOBIN=$(CURDIR)/bin GOFLAGS= go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT) && mv bin/golangci-lint $@

deps: ## Debian packages, those that are missing
	@! dpkg-query -W -f '$${Status}\n' $(PACKAGES) 2>&1 | grep -qv ' ok installed$$' || { echo "installing, to build and test: $(PACKAGES)"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); }

action: node ## the GitHub Action
	node --test .github/action/slipway.test.mjs

node: ## what runs the GitHub Action in tests
	@command -v node >/dev/null || { echo "installing, to test: nodejs"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs; }

bin/act: e2e/act/go.mod ## what runs workflows of GitHub Actions in tests
	go -C e2e/act build -ldflags '-s -w' -o ../../bin/act github.com/nektos/act

browser: ## what looks at reports in tests
	@command -v chromium >/dev/null || { echo "installing, to test: chromium"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }

fmt: bin/golangci-lint-$(LINT)
	$< fmt

vet:
	go vet ./...

lint: bin/golangci-lint-$(LINT)
	$< run

unit:
	go test ./...

race: runc
	CGO_ENABLED=1 go test -race -count=1 -timeout 30m $$(go list ./... | grep -v -e /buildkit/solve$$ -e /cmd/slipway$$)
	go test -count=1 -timeout 30m ./buildkit/solve ./cmd/slipway # whole builds, several at once: BuildKit's solver has a race of its own (solver/jobs.go, notifyStarted)

golden: ## write the golden files anew; look at the difference
	go test ./pipeline/syntax ./cmd/slipway -update

cross: ## all but the solver of our own and the bench works on macOS and Windows, too: the command and the tests are built for them
	for os in darwin windows; do GOOS=$$os go build -o /dev/null ./cmd/slipway && GOOS=$$os go test -c -ldflags='-s -w' -o /dev/null $$(go list ./... | grep -v -e buildkit/embed -e /bench) >/dev/null || exit 1; done

e2e: build bin/slipway-cluster bin/act bin/peers/.buildkit bin/peers/.kubectl node
	$(E2E) -C e2e test $(E2EFLAGS) -count=1 -timeout 30m .

bin/dockerd: e2e/dockerd/go.mod ## a Docker Engine that keeps images in containerd's store, as Debian's does not; compiling it takes minutes, once
	GOFLAGS= go -C e2e/dockerd build -ldflags '-s -w' -o ../../bin/dockerd github.com/moby/moby/v2/cmd/dockerd

docker: deps runc bin/dockerd ## loads into a real Docker, Debian's and a newer one, and builds with it
	@command -v dockerd >/dev/null || { echo "installing, to test: docker.io"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io; }
	go test -count=1 -v -run '^TestDocker$$' ./cmd/slipway

ssh: deps runc bin/peers/.buildkit ## builds behind a real sshd
	@test -x /usr/sbin/sshd && command -v ssh >/dev/null || { echo "installing, to test: openssh-server openssh-client"; $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssh-server openssh-client; }
	go test -count=1 -v -run '^TestSSH$$' ./cmd/slipway

many: deps runc ## sends and builds a hundred thousand files; minutes
	SLIPWAY_TEST_MANY=1 go test -count=1 -v -run '^TestManyFiles$$' ./cmd/slipway

mutate: build bin/slipway-cluster ## without each rule of a verdict and each guard of a deploy, some scenario fails; half an hour
	$(E2E) -C e2e run $(E2EFLAGS) ./mutate

# Go makes each input that is interesting as small as it can, for up to a minute, and tries nothing meanwhile.
FUZZ := ./pipeline/syntax:FuzzPlan ./pipeline/expr:FuzzTemplate ./pipeline/github:FuzzLog ./pipeline/report:FuzzTame ./pipeline/report:FuzzMaskWriter ./deploy/kustomize:FuzzParts ./deploy/kustomize:FuzzPlain
fuzz: ## bytes to plan, expressions, hostile output, and renders in parts: 10 s of each
	for f in $(FUZZ); do go test $${f%:*} -run '^$$' -fuzz $${f#*:}'$$' -fuzztime 10s -fuzzminimizetime 10x || exit 1; done

# The tools that slipway is measured against; each is a module of its own.
PEERS := $(patsubst bench/peers/%/go.mod,bin/peers/.%,$(wildcard bench/peers/*/go.mod))
bin/peers/.%: bench/peers/%/go.mod
	$(if $(wildcard bench/peers/$*/*.go),$(E2E),go) -C bench/peers/$* build $(if $(wildcard bench/peers/$*/*.go),$(E2EFLAGS)) -ldflags '-s -w' -o ../../../bin/peers/ $(if $(wildcard bench/peers/$*/*.go),.,tool) && touch $@

bench bench-gate bench-P%: PACKAGES += buildah skopeo
bin/floor:
	go build -ldflags '-s -w' -o bin/floor/ ./bench/floor/...

bench: deps build bin/slipway-cluster bin/act $(PEERS) bin/floor ## what slipway costs beside other tools, in bench/results
	go run ./bench

bench-gate: deps build $(PEERS) bin/floor ## small forms, which fail when costs grow faster than the work
	go run ./bench -gate

bench-P1 bench-P9 bench-P10 bench-P11 bench-P15: bin/slipway-cluster
bench-P12: bin/act
bench-P%: deps build $(PEERS) bin/floor ## one scenario
	go run ./bench P$*

test: deps browser action vet lint race fuzz cross e2e ## everything

demo: deps build ## a registry, a Kubernetes, and examples/shop on it, proven
	$(E2E) -C e2e build $(E2EFLAGS) -o ../bin/slipway-demo ./demo && bin/slipway-demo up

demo-down: build ## takes away what make demo started
	$(E2E) -C e2e build $(E2EFLAGS) -o ../bin/slipway-demo ./demo && bin/slipway-demo down

clean:
	rm -rf bin dist
