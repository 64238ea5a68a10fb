# Peerage. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/peerage/peerage/api/node.Version=$(VERSION)
# Everything that has a main: the product's programs and the lab's.
COMMANDS = $(shell go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./api/... ./controller/... ./agent/... ./realserver/... ./hack/... 2>/dev/null)

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## compile every program into bin/
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS)
	go build -trimpath -ldflags '-s -w' -o bin/etcd go.etcd.io/etcd/server/v3

# A customer's router in the lab: GoBGP, at the version of go.mod. What its
# programs need beyond its library is not in go.mod.
GOBGP = $(shell go list -m -f '{{.Version}}' github.com/osrg/gobgp/v4)
bin/gobgpd: go.mod
	GOBIN=$(CURDIR)/bin go install -trimpath -ldflags '-s -w' github.com/osrg/gobgp/v4/cmd/gobgpd@$(GOBGP) github.com/osrg/gobgp/v4/cmd/gobgp@$(GOBGP)
	@touch $@

.PHONY: unit
unit: ## unit tests, with the race detector (PKG=./... RUN=regexp)
	@hack/lab/install.sh unit
	CGO_ENABLED=1 go test -race $(if $(RUN),-run '$(RUN)') $(or $(PKG),./...)

.PHONY: test
test: lint unit lab-test e2e ## everything that is checked: lint, unit, lab-test, e2e

.PHONY: lint
lint: ## the linters, at their pinned version
	.ci/lint

.PHONY: lab-test
lab-test: ## the tests that need a real kernel, in the lab (PKG=./agent/ipvs RUN=regexp)
	hack/lab/test.sh $(if $(RUN),-run '$(RUN)') $(PKG)

.PHONY: lab
lab: build bin/gobgpd ## a shell inside a small site, to play with (TOPOLOGY=demo)
	LAB_INTERACTIVE=1 LAB_TIMEOUT=0 hack/lab/vm.sh bin/peerage-lab shell hack/lab/topologies/$(or $(TOPOLOGY),small).yaml

.PHONY: e2e
e2e: build bin/gobgpd ## the scenarios, in the lab (RUN=regexp V=1); SWARM=500 with a swarm of so many sessions
	@mkdir -p out && rm -rf out/e2e
	LAB_OUT=out/e2e LAB_TIMEOUT=2400 hack/lab/vm.sh bin/peerage-e2e $(if $(RUN),-run '$(RUN)') $(if $(SWARM),-swarm $(SWARM)) $(if $(V),-v)

.PHONY: demo
demo: build ## the main job on real parts: depool, pool, an LB killed (JSON=1)
	@mkdir -p out && rm -rf out/demo
	@LAB_OUT=out/demo LAB_TIMEOUT=900 hack/lab/vm.sh bin/peerage-demo $(if $(JSON),-json)

.PHONY: bench
bench: build ## measurements, in the lab (BENCH=change-to-kernel or no-op), or on this machine (BENCH=swarm; BENCH=speaker FLAGS='-work reflect')
ifeq ($(BENCH),swarm)
	hack/swarm/bench/run.sh $(if $(ROUNDS),-rounds $(ROUNDS))
else ifeq ($(BENCH),speaker)
	hack/bench/speaker/run.sh $(if $(ROUNDS),-rounds $(ROUNDS)) $(FLAGS)
else
	@hack/lab/install.sh lab bench
	LAB_OUT=hack/bench/results LAB_TIMEOUT=5400 hack/lab/vm.sh bin/peerage-bench $(if $(BENCH),-bench '$(BENCH)') $(if $(ROUNDS),-rounds $(ROUNDS))
endif

.PHONY: clean
clean: ## remove what was built and the lab's cache
	rm -rf bin out .cache/lab
