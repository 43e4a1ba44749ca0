# Every target runs without docker. `make` alone tells what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

PKG ?= ./...
RUN ?= .
FUZZTIME ?= 30s
COUNT ?= 1
ARGS ?=
SOAK ?= 30m
CYCLES ?= 100000
HAMMER ?= 15m
KILLS ?= 10

.PHONY: help
help: ## Tell what there is (the default)
	@echo 'make TARGET [NAME=value]...'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build the static binary bin/vigil
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/vigil ./cmd/vigil

.PHONY: run
run: ## Run the server from source (ARGS='--set log.level=debug')
	CGO_ENABLED=0 $(GO) run -ldflags '$(LDFLAGS)' ./cmd/vigil $(ARGS)

.PHONY: deps
deps: ## Install what the tests need: real players and encoders, a browser, and a C compiler
	@scripts/deps.sh
	@scripts/npm.sh e2e/reader
	@scripts/npm.sh e2e/browser

.PHONY: test
test: deps ## Run every test with the race detector, real clients included (12 minutes or less)
	@GO='$(GO)' scripts/test.sh
	@echo 'test: now the browser, alone: whether pictures stall is not to depend on what else runs'
	CGO_ENABLED=1 $(GO) test -race -tags netgo -timeout 5m -run '^TestBrowser' ./e2e

.PHONY: race
race: ## Run the tests of some packages again and again (PKG=./internal/hub RUN=TestTakeover COUNT=20)
	CGO_ENABLED=1 $(GO) test -race -tags netgo -timeout 10m -run '$(RUN)' -count $(COUNT) $(PKG)

.PHONY: lint
lint: ## Check style and house rules (the first run builds the linter: some minutes)
	@echo 'lint: a machine that has not run this before builds golangci-lint from source first: 2 to 6 minutes of silence'
	$(GO) vet -tags netgo ./...
	$(TOOL) golangci-lint run ./...
	$(GO) test -tags netgo ./internal/archtest

.PHONY: fmt
fmt: ## Format the Go code as lint wants it
	$(TOOL) golangci-lint fmt ./...

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME (30s) each (PKG=./internal/container/flv for some)
	@GO='$(GO)' scripts/fuzz.sh '$(FUZZTIME)' '$(PKG)'

.PHONY: bench
bench: ## Measure the server against the C reference (BENCH_RUNS=5 for medians, ARGS='rtmp:1000' for some)
	@$(GO) run ./bench $(ARGS)

.PHONY: microbench
microbench: ## Run the Go benchmarks (COUNT=10 for benchstat, PKG=./internal/stream, RUN=Write)
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench '$(RUN)' -benchmem -count $(COUNT) -timeout 60m $(PKG)

.PHONY: stat
stat: ## Compare two runs of microbench (OLD=old.txt NEW=new.txt)
	$(TOOL) benchstat '$(OLD)' '$(NEW)'

.PHONY: e2e
e2e: deps ## Run the tests with real clients only, and tell each
	CGO_ENABLED=1 $(GO) test -race -tags netgo -timeout 15m -count 1 -v -run '$(RUN)' ./e2e/...

.PHONY: faults
faults: deps ## Break 10 000 sessions at every point, run the incident cards, stall crowds (up to 40 minutes)
	VIGIL_CYCLES=10000 VIGIL_HAMMER=60s VIGIL_ROUNDS=20 VIGIL_FAMILY=3 CGO_ENABLED=1 $(GO) test -race -tags netgo -timeout 40m -count 1 -v -run \
		'^(TestCycles|TestHostile|TestStalled|TestCrowd|TestVanished|TestKilled|TestAborted|TestDeafKicked|TestHammer|TestChurn|TestSlowReaders|TestOdd|TestStormOfRefused|TestPublishersFirst|TestStorm$$|TestFamily|TestWedge|TestHLSDir)' ./e2e

.PHONY: soak
soak: deps ## Have players join, leave and stall for SOAK (30m), CYCLES sessions broken, taken keys hammered for HAMMER (15m), workers killed KILLS times
	VIGIL_SOAK='$(SOAK)' CGO_ENABLED=0 $(GO) test -timeout 0 -count 1 -v -run '^TestSoak$$' ./e2e
	VIGIL_CYCLES='$(CYCLES)' CGO_ENABLED=0 $(GO) test -timeout 0 -count 1 -v -run '^TestCycles$$' ./e2e
	VIGIL_HAMMER='$(HAMMER)' CGO_ENABLED=0 $(GO) test -timeout 0 -count 1 -v -run '^(TestHammer|TestChurn|TestSlowReaders)$$' ./e2e
	VIGIL_FAMILY='$(KILLS)' CGO_ENABLED=0 $(GO) test -timeout 0 -count 1 -v -run '^TestFamily' ./e2e

.PHONY: golden
golden: ## Write the golden files of a package anew (PKG=./internal/conf), for review
	@test '$(PKG)' != './...' || { echo 'golden: name one package: make golden PKG=./internal/conf' >&2; exit 2; }
	$(GO) test '$(PKG)' -run '$(RUN)' -count 1 -update
	@git --no-pager diff --stat

.PHONY: web
web: ## Build the playback page anew: web/src to web/dist
	@scripts/npm.sh web
	@cd web && npm run --silent build

.PHONY: web-check
web-check: ## See whether web/dist is what web/src makes, and typecheck it
	@scripts/npm.sh web
	@cd web && npm run --silent check

.PHONY: docs
docs: ## Write the generated documents anew
	$(GO) test -count 1 -run '^TestDocuments$$' ./internal/server -update
	$(GO) test -count 1 -run '^TestLinks$$' ./internal/archtest

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf bin .cache e2e/reader/node_modules e2e/browser/node_modules web/node_modules
	$(GO) clean ./...
