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
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: build
build: ## compile every program into bin/
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(COMMANDS)

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

.PHONY: clean
clean: ## remove what was built and the lab's cache
	rm -rf bin out .cache/lab
