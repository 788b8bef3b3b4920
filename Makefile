# dmarcd: "make run" runs it, "make test" passes the tests. "make" alone lists
# the targets. Whatever is built or fetched goes to bin/ and build/.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# The go command needs a place for its caches; a bare environment has none. (Its
# name begins with a dot so that ./... does not look for packages in it.)
ifneq ($(shell [ -n "$${HOME:-}" ] && [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes),yes)
export HOME := $(CURDIR)/build/.home
$(shell mkdir -p "$(HOME)")
endif

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SOURCES := cmd internal e2e

STATICCHECK_VERSION := v0.8.2
GOVULNCHECK_VERSION := v1.9.0
STATICCHECK := build/tools/staticcheck-$(STATICCHECK_VERSION)

# Each may be given on the command line: make fuzz FUZZ=FuzzParse FUZZTIME=30s
FUZZ       ?= .
FUZZTIME   ?= 10m
BENCH      ?= .
BENCHTIME  ?= 2s
BENCH_PKGS ?= ./internal/inbound ./internal/milter ./internal/auth/... ./internal/resolver ./internal/settings ./internal/memory \
	./internal/journal ./internal/store ./internal/report ./internal/report/intake ./internal/report/outgoing ./internal/simulate
RUN        ?= .
SOAK       ?= TestKilledUnderLoad|TestSwappedUnderLoad|TestStoreAway|TestIntakeKilled|TestIntakeStoreAway
RECORDS    ?= 5000000
OLD        ?= 8f6c5f3

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./bin/dmarcd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/dmarcd ./cmd/dmarcd

.PHONY: run
run: build ## build, and serve on 127.0.0.1 with the built-in defaults
	./bin/dmarcd serve

.PHONY: demo
demo: build ## fill build/demo with a made-up quarter of reports and mail, and serve it on http://127.0.0.1:8894
	$(GO) run ./cmd/demo -run bin/dmarcd build/demo

##@ Test

.PHONY: test
test: ## all of the following; installs what it needs (under 25 minutes on two cores)
	@start=$$SECONDS; \
	$(MAKE) --no-print-directory tools fetch lint unit e2e; \
	took=$$((SECONDS - start)); \
	echo; echo "make test: everything passed, in $$((took / 60)) min $$((took % 60)) s"

.PHONY: tools
tools: ## check for Go, gcc, ip and xmllint, and install what is missing (as root on Debian)
	@scripts/check-tools

.PHONY: fetch
fetch: ## unpack PostgreSQL, promtool, readers and makers of reports below build/ (as root on Debian)
	@echo "== programs to test with"
	@scripts/fetch-postgres
	@scripts/fetch-promtool
	@scripts/fetch-readers
	@scripts/fetch-generators

.PHONY: lint
lint: $(STATICCHECK) ## gofmt, go vet and staticcheck
	@echo "== gofmt, go vet, staticcheck"
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $(SOURCES)); if [ -n "$$unformatted" ]; then \
		echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags e2e ./...
	$(STATICCHECK) -tags e2e ./...

$(STATICCHECK):
	@echo "== building staticcheck $(STATICCHECK_VERSION)"
	@mkdir -p build/tools
	GOBIN=$(CURDIR)/build/tools $(GO) install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
	@mv build/tools/staticcheck $@

.PHONY: unit
unit: ## unit tests, with the race detector, beside a throw-away PostgreSQL
	@echo "== unit tests"
	scripts/with-postgres $(GO) test -race -count=1 -timeout 15m ./...

.PHONY: browser
browser: ## the console of the real binary in Chromium, over the demonstration (as root on Debian, with npm)
	scripts/browser

.PHONY: e2e
e2e: ## through a real Postfix and a real Sendmail (as root on Debian); RUN=pattern
	@echo "== end-to-end tests"
	@scripts/fetch-mtas
	$(GO) build -race -o build/dmarcd-e2e ./cmd/dmarcd
	DMARCD_E2E_BINARY=$(CURDIR)/build/dmarcd-e2e $(GO) test -tags e2e -count=1 -timeout 10m -v -run '$(RUN)' ./e2e \
		| { grep --line-buffered -vE '^=== (RUN|PAUSE|CONT)' || true; }

##@ Apart

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (10m); FUZZ=pattern chooses
	@GO='$(GO)' FUZZ='$(FUZZ)' FUZZTIME='$(FUZZTIME)' scripts/fuzz

.PHONY: bench
bench: ## benchmarks: time, allocations and messages/s; BENCH=pattern, BENCH_PKGS, BENCHTIME
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchtime '$(BENCHTIME)' -benchmem -timeout 60m $(BENCH_PKGS)

.PHONY: bench-ingest
bench-ingest: ## take 100,000 generated report mails into SQLite and into PostgreSQL: reports/s, records/s, memory
	$(GO) test -run '^$$' -bench BenchmarkIngest -benchtime 1x -timeout 60m ./internal/report/intake -args -ingest.mails 100000
	scripts/with-postgres $(GO) test -run '^$$' -bench BenchmarkIngest -benchtime 1x -timeout 60m ./internal/report/intake -args -ingest.mails 100000 -ingest.postgres

.PHONY: bench-backfill
bench-backfill: ## time of the milter's answers at half load, with and without a backfill of reports: five minutes of each
	$(GO) test -count=1 -timeout 30m -v -run TestBackfillBesideMail ./cmd/dmarcd -backfill.phase 1m -backfill.pairs 5 -backfill.mails 100000 -backfill.judge

.PHONY: soak
soak: ## kill -9 under load 200 times, restart under load 50 times, kill 100 times on each store while reports come in, 10 minutes without the store (40 minutes); SOAK=pattern chooses
	scripts/with-postgres $(GO) test -count=1 -timeout 90m -v -run '$(SOAK)' ./cmd/dmarcd \
		-soak.kills 200 -soak.swaps 50 -soak.intake 20 -soak.outage 10m -soak.rate 300 -soak.times

.PHONY: replay-old
replay-old: ## send 10,000 generated messages through the build of commit OLD and this one; list and explain the differences
	@if ! git cat-file -e '$(OLD)^{commit}' 2>/dev/null; then \
		echo "replay-old: skipped: this clone does not have the commit $(OLD); git fetch --unshallow gets it"; exit 0; fi; \
	dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/source"; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/source" '$(OLD)'; \
	(cd "$$dir/source" && $(GO) build -o "$$dir/dmarcd-old" ./cmd/dmarcd); \
	$(GO) test -count=1 -v -run TestReplayOld ./cmd/dmarcd -replay.old "$$dir/dmarcd-old"

.PHONY: received-scale
received-scale: ## fill a store with RECORDS (5000000) received records; prints ingest, queries, export and plans
	scripts/with-postgres $(GO) test -count=1 -timeout 120m -v -run TestReceivedScale ./internal/store \
		-received.records $(RECORDS) -received.plans

.PHONY: vuln
vuln: ## govulncheck (needs the network for its database)
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...

.PHONY: clean
clean: ## remove bin/ and build/
	@[ ! -d build ] || chmod -R u+w build # Go keeps downloaded modules read-only
	rm -rf bin build
