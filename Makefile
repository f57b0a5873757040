# Every target does its own set-up on a Debian machine with Rust; see scripts/setup.sh.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo page test check bench soak image images fmt lint

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, serve on loopback, run examples/demo.yaml and follow it (CI=1: end by itself)
	@scripts/setup.sh build page
	@scripts/page.sh
	@scripts/demo.sh

page: ## Build the web page, which the next build of the service takes in
	@scripts/setup.sh page
	@scripts/page.sh

# Also what is in deploy/: compose and systemd judge their files, a Docker Engine of its own builds and runs the
# image around the binary under test, and HAProxy stands in front of two instances.
test: ## Run every test: of the player, of the page in a browser, of the service and its deployment
	@scripts/setup.sh build test servers deploy page browser
	@scripts/page.sh
	@scripts/test.sh

check: ## Format, lints, documentation, licences of dependencies, alerts and dashboards
	@scripts/setup.sh build check alerts
	@scripts/check.sh

lint: ## Only the lints
	@scripts/setup.sh build
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the code
	cargo fmt --all

bench: ## Measure throughput, latency, memory and recovery (ROUNDS=3, FULL=1)
	@scripts/setup.sh build servers
	@scripts/bench.sh

# Everything from the sources on, which takes as long as a release build. Bases of your own:
# make image IMAGE_ARGS="--build-arg BASE_IMAGE=…", and NODE_IMAGE, RUST_IMAGE.
image: ## Build the image of deploy/Dockerfile with the docker of this machine (IMAGE_ARGS=…)
	@scripts/image.sh $(IMAGE_ARGS)

images: ## Make the pictures of docs/images from real runs
	@scripts/setup.sh build page browser images
	@scripts/page.sh
	@scripts/images.sh

soak: ## The tests of faults in their long form, and 10,000 sessions; HOURS=n: sessions that come and go for so long
	@scripts/setup.sh build test servers
	@if [ -n "$(HOURS)" ]; then \
		RUNCAST_SOAK_HOURS=$(HOURS) RUNCAST_TEST_MINUTES=$$(( ($(HOURS) + 1) * 60 )) \
			scripts/test.sh --test it -- terminal_soak:: --nocapture; \
	else \
		RUNCAST_SOAK=1 RUNCAST_TEST_MINUTES=180 \
			scripts/test.sh --test it -- faults archive_ cold:: chaos:: terminal_soak:: --nocapture; \
	fi
