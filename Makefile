# What can be done with Klamm, by name; `make` alone says so. CI calls .ci/run, which calls `make test`.

GO            ?= go
LINT          := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZ_TIME     ?= 20s
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help

.PHONY: help build run cluster test unit compat chaos test-cluster race mutation lint bench bench-wider bench-check bench-compaction fuzz clean

help: ## say what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '%-18s%s\n' "$$name" "$$text"; done

build: ## build bin/klamm
	@$(GO) build -trimpath -o bin/klamm ./cmd/klamm

run: build ## start a broker on 127.0.0.1:9092 with its data in ./klamm-data
	@exec bin/klamm serve

cluster: build ## start three nodes on 127.0.0.1:9092, 9192 and 9292 with their data in ./klamm-cluster; Ctrl-C stops them
	@exec bin/klamm cluster start

test: unit compat ## all tests that should pass before a change goes in; under 15 minutes

unit: ## go vet and go test; needs Go alone
	$(GO) vet ./... && $(GO) vet -tags compat,chaos,cluster ./test/...
	$(GO) test ./...

compat: ## real clients and Apache's tools against a broker; says which are left out, for want of a runtime
	$(GO) test -tags compat -count=1 -timeout 25m ./test/compat/... -v 2>&1 | test/compat/summary

chaos: ## kill -9 under load, full disks, damaged files, thousands of connections; prints what it measures
	$(GO) test -tags chaos -count=1 -timeout 15m -v ./test/chaos/...

test-cluster: ## three nodes of which leaders and controllers are killed, paused and robbed of their disks; prints how long clients waited
	$(GO) test -tags cluster -count=1 -timeout 30m -v ./test/cluster/...

mutation: ## Klamm is broken on purpose in ten ways; says which tests notice
	$(GO) run ./test/mutation

race: ## the unit tests under the race detector
	$(GO) test -race ./...

lint: ## gofmt and golangci-lint
	@wrong="$$(find . -name .cache -prune -o -name '*.go' -print | xargs gofmt -l)"; \
	test -z "$$wrong" || { echo "$$wrong"; echo 'run gofmt -w on these'; exit 1; }
	$(GO) run $(LINT) run ./...

bench: ## Klamm and Apache Kafka in turn, as the table of the README
	$(GO) run ./test/bench -svg docs/bench.svg

bench-wider: ## the loads that the README does not tell: partitions, codecs, consumers
	$(GO) run ./test/bench -only '^wider' -svg docs/bench-wider.svg

bench-check: ## fail where a load takes more CPU than it did, beyond noise; needs Go alone
	$(GO) run ./test/bench -check

bench-compaction: ## the same for the compaction of 10 million records; checks what is left
	$(GO) run ./test/bench/compaction

fuzz: ## every fuzz target for FUZZ_TIME
	@$(GO) list -f '{{$$d := .ImportPath}}{{range .TestGoFiles}}{{$$d}} {{$$.Dir}}/{{.}}{{"\n"}}{{end}}' ./... \
	| while read -r package file; do \
	    sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' "$$file" | while read -r target; do \
	      echo "$$package $$target"; $(GO) test "$$package" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZ_TIME); \
	    done; \
	  done

clean: ## remove what was built and fetched; not the data
	rm -rf bin .cache
