# Two commands are enough: `make demo` and `make test`. Both install what they need.

SHELL := /bin/bash
TARGET := x86_64-unknown-linux-musl
OPERATOR := target/$(TARGET)/release/mainstay
# Debian packages of the build itself; the lab installs its own.
PACKAGES := build-essential musl-tools perl pkg-config git curl ca-certificates openssh-server openssh-client socat

.PHONY: help demo demo-all test unit client chart argocd plugin e2e lint deny bench faults fuzz measure operator lab crds deps clean clean-lab

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: operator lab ## From a bare machine to a commit that became an image, live; the lab stays up
	cargo run --quiet --package mainstay-e2e --bin demo

demo-all: operator lab ## Every pattern of the sample repository, built and asked: Go, Node, Elixir, nix, tarball, package
	cargo run --quiet --package mainstay-e2e --bin demo-all

test: deps lint unit client chart argocd e2e ## Everything: lint, unit, client, chart and Argo CD tests, stories in the lab
	@echo "==> make test: all passed"

unit: deps ## Unit and property tests: seconds
	cargo test --workspace --lib --bins
	cargo test --package mainstay-crds --tests

client: deps ## Clients against a real Git server and a real registry on this machine
	MAINSTAY_TEST_REGISTRY="$$(cargo lab program registry registry)" cargo test --package mainstay --test '*'

chart: deps ## Lint the chart and render it with every option, and with mistakes
	charts/mainstay/tests/run.sh "$$(cargo lab program helm helm)" "$$(cargo lab program kustomize kustomize)"

argocd: deps ## Health checks and actions under the real Argo CD program, without a cluster
	ARGOCD="$$(cargo lab program argocd argocd)" KUSTOMIZE="$$(cargo lab program kustomize kustomize)" argocd/test.sh

plugin: deps ## The kubectl plugin as a static release program
	cargo build --release --target $(TARGET) --package mainstay --bin kubectl-mainstay

e2e: operator lab ## Stories in the lab (or in your cluster: see CONTRIBUTING)
	cargo build --package mainstay --bin kubectl-mainstay
	cargo test --package mainstay-e2e --test '*' --no-fail-fast -- --ignored --test-threads=2
	cargo lab down

faults: deps ## Sixteen writers on one branch: nothing lost, nothing forced (wants the machine for itself)
	cargo test --package mainstay --test git_push -- --ignored --test-threads=1

lint: deps ## rustfmt and clippy; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## Licences and advisories of the dependencies (installs cargo-deny)
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check

bench: deps operator ## Ratios: touches and classes against git, edits of pins against kustomize, push against crane
	cargo bench --package mainstay --bench index --bench classify
	MAINSTAY_KUSTOMIZE="$$(cargo lab program kustomize kustomize)" cargo bench --package mainstay --bench pins
	MAINSTAY_OPERATOR_BINARY="$(CURDIR)/$(OPERATOR)" MAINSTAY_TEST_REGISTRY="$$(cargo lab program registry registry)" \
	  MAINSTAY_CRANE="$$(cargo lab program registry crane)" cargo bench --package mainstay --bench push

fuzz: deps ## Any bytes as a manifest, for a minute (installs cargo-fuzz)
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cp Cargo.lock operator/fuzz/Cargo.lock
	mkdir -p operator/fuzz/corpus/pin_edit
	cd operator && cargo fuzz run -s none pin_edit fuzz/corpus/pin_edit fuzz/seeds/pin_edit -- -max_total_time=60

measure: operator lab ## Memory, push to Job, overhead of our pod, image to commit, in the lab
	cargo run --quiet --package mainstay-e2e --bin measure
	cargo run --quiet --package mainstay-e2e --bin measure-pins

operator: deps ## The operator as a static release program
	cargo build --release --target $(TARGET) --package mainstay --bin mainstay
	@ls -l $(OPERATOR) | awk '{printf "operator: %.1f MiB\n", $$5 / 1048576}'

lab: deps ## Start the lab: Kubernetes, registry, forge, Argo CD (the first time about 20 minutes)
	cargo build --quiet --package mainstay-e2e
	cargo lab up

crds: deps ## Write crds/generated and docs/reference from the Rust types
	cargo crdgen
	cargo docgen

deps:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -q '^installed$$' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "==> installing Debian packages:" $$missing; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi
	@rustup target list --installed | grep -q '^$(TARGET)$$' || rustup target add $(TARGET)

clean: ## Take the lab down and prove that nothing of it is left
	cargo build --quiet --package mainstay-e2e
	cargo lab down

clean-lab: ## Also remove the lab's cache, and what Go keeps of it
	cargo build --quiet --package mainstay-e2e
	cargo lab clean --cache
	go clean -cache
