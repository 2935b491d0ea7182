# make help lists the targets. Only Go, git and make are presumed; the rest is built into .cache or, by
# make test, installed as the servers that the end-to-end tests run against.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
CACHE   := $(or $(BELLBUOY_CACHE),.cache)
# Tests of one package run at a time beside another's; each starts servers of its own.
P        ?= 2
PKG      ?= ./...
RUN      ?=
TESTARGS ?=
FUZZTIME ?= 20s

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-9s %s\n", $$1, $$2}'

.PHONY: build
build: ## bin/bellbuoy
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/bellbuoy ./cmd/bellbuoy

.PHONY: up
# On a terminal in a group of its own, so that Ctrl-C reaches the program, which drains and ends well, and not make.
up: build ## build and run every role in one process; ARGS are passed on
	@if [ -t 0 ]; then set -m; bin/bellbuoy up $(ARGS) & fg %1 >/dev/null; else exec bin/bellbuoy up $(ARGS); fi

.PHONY: test
test: $(CACHE)/testsum ## unit, component and end-to-end tests, real servers included (PKG=./router RUN=TestX)
	go run ./e2e/harness/cmd/setup
	$(CACHE)/testsum -race -shuffle=on -p $(P) -timeout 20m $(if $(RUN),-run '$(RUN)') $(TESTARGS) $(PKG)

.PHONY: servers
servers: ## prepare the servers that the end-to-end tests run against; make test does it too
	go run ./e2e/harness/cmd/setup

.PHONY: e2e
e2e: ## the end-to-end tests only
	$(MAKE) test PKG=./e2e/...

.PHONY: chaos
chaos: ## 200 containers end in every way while the program is killed again and again; prints the table
	$(MAKE) test PKG=./e2e RUN=TestChaos TESTARGS=-v

.PHONY: e2e-churn
e2e-churn: ## containers live and die for a minute while collectors lose their daemon; prints what was told of them
	BELLBUOY_E2E_LONG=1 $(MAKE) test PKG=./e2e RUN=TestChurn TESTARGS='-v -timeout 60m'

.PHONY: e2e-long
e2e-long: ## each daemon for a minute and more: churn, quiet ends, what a collector costs; last result in docs/measurements.md
	BELLBUOY_E2E_LONG=1 $(MAKE) test PKG=./e2e RUN='TestChurn|TestBesideDocker|TestQuiet|TestLoadOnDocker' TESTARGS='-v -timeout 60m'

.PHONY: outage
outage: ## OpenSearch away and SNS throttled for a minute under load; prints the latencies
	BELLBUOY_E2E_LONG=1 $(MAKE) test PKG=./e2e RUN=TestOutages TESTARGS=-v

.PHONY: bench
bench: ## throughput and latency of the whole pipeline; ARGS are passed on
	go run ./e2e/bench $(ARGS)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s) each
	@grep -rlE --include='*_test.go' '^func Fuzz[A-Z]' . | grep -v '^\./tools/' | sort | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | cut -d' ' -f2 | while read -r name; do \
	    echo "== $$(dirname "$$file") $$name"; \
	    go test -run '^$$' -fuzz "^$$name$$" -fuzztime '$(FUZZTIME)' "$$(dirname "$$file")" < /dev/null; \
	  done; \
	done

.PHONY: gen
gen: ## write the generated files again
	go generate ./...

.PHONY: lint
lint: ## format and lint
	tools="$$(tools/install)"; \
	"$$tools/golangci-lint" fmt --diff; \
	"$$tools/golangci-lint" run ./...

.PHONY: fmt
fmt: ## mend the format
	"$$(tools/install)/golangci-lint" fmt

.PHONY: check
check: ## what CI wants of a change beside its tests: tidy, format, lint, generated files current, vulnerabilities (STRICT=1 for a release)
	go mod tidy -diff
	go vet ./...
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory check-gen
	cd tools && GOWORK=off go vet ./testsum ./vulncheck && GOWORK=off go test ./testsum ./vulncheck
	GOWORK=off go -C tools build -o "$$(tools/install)/vulncheck" ./vulncheck
	tools="$$(tools/install)"; "$$tools/vulncheck" $(if $(STRICT),-strict) -govulncheck "$$tools/govulncheck"

# Every file of the tree is summed before and after, so that other changes in the tree do not matter.
.PHONY: check-gen
check-gen:
	@sums() { git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do if [ -f "$$f" ]; then echo "$$f"; fi; done | \
	  { list="$$(cat)"; paste -d' ' <(git hash-object --no-filters --stdin-paths <<< "$$list") <(echo "$$list"); } | sort; }; \
	before="$$(sums)"; echo "go generate ./..."; go generate ./...; \
	stale="$$(comm -13 <(echo "$$before") <(sums))"; \
	if [ -n "$$stale" ]; then echo "not what go generate writes (now it is: commit them):"; echo "$$stale" | cut -d' ' -f2-; exit 1; fi

.PHONY: clean
clean: ## remove what was built; the tools and servers in .cache stay (make clean-all removes them too)
	rm -rf bin dist

.PHONY: clean-all
clean-all: clean
	rm -rf '$(CACHE)'

$(CACHE)/testsum: tools/testsum/main.go
	@mkdir -p $(CACHE)
	GOWORK=off go -C tools build -o "$(abspath $@)" ./testsum
