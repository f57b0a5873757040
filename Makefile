# Every target does its own set-up on a Debian machine with Rust; see scripts/setup.sh.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo page test check bench soak images fmt lint

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, serve on loopback, run examples/demo.yaml and follow it (CI=1: end by itself)
	@scripts/setup.sh build page
	@scripts/page.sh
	@scripts/demo.sh

page: ## Build the web page, which the next build of the service takes in
	@scripts/setup.sh page
	@scripts/page.sh

test: ## Run every test: of the player, of the page in a browser, of the service
	@scripts/setup.sh build test servers page browser
	@scripts/page.sh
	@scripts/test.sh

check: ## Format, lints, documentation, licences and advisories of dependencies
	@scripts/setup.sh build check
	@scripts/check.sh

lint: ## Only the lints
	@scripts/setup.sh build
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the code
	cargo fmt --all

bench: ## Measure throughput, latency, memory and recovery (ROUNDS=3, FULL=1)
	@scripts/setup.sh build servers
	@scripts/bench.sh

images: ## Make the pictures of docs/images from real runs
	@scripts/setup.sh build page browser images
	@scripts/page.sh
	@scripts/images.sh

soak: ## The tests of faults in their long form: a hundred kills, gigabytes for nobody
	@scripts/setup.sh build test servers
	@RUNCAST_SOAK=1 RUNCAST_TEST_MINUTES=120 scripts/test.sh --test it -- faults archive_ cold:: --nocapture
