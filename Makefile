# The tasks of this repository. `make test` is all of the tests and what CI runs.

CARGO_DENY_VERSION := 0.18
CARGO_FUZZ_VERSION := 0.13
MDBOOK_VERSION := 0.5.4
# Fuzzing takes a compiler that can instrument code.
NIGHTLY := nightly
FUZZ_SECONDS := 60
SOAK_MINUTES := 30

.PHONY: run demo test test-service test-module check check-service check-module check-release bench bench-report bench-profile openapi docs book properties oracle revocation soak cardinality fuzz audit image image-test reproducible

# npm and the like, with a Node.js that Backstage supports.
IN_MODULE := cd backstage-plugin && bin/with-node
# What a command prints, in a file that is never half written.
written_by = cargo run --quiet -- $(1) > $(2).new && mv $(2).new $(2)
ensure_cargo_deny := cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --version '^$(CARGO_DENY_VERSION)'
MODULE_PACKAGES := backstage-plugin/node_modules/.package-lock.json

run:
	cargo run --quiet -- serve --manifests config/samples/shop --dev-token

demo:
	backstage-plugin/demo/run

test: test-service test-module

test-service:
	tests/ensure-tools
	cargo test --no-fail-fast

# The catalog module, in real backends on the real service.
test-module: $(MODULE_PACKAGES)
	cargo build
	backstage-plugin/bin/ensure-postgres
	$(IN_MODULE) npm test

$(MODULE_PACKAGES): backstage-plugin/package-lock.json
	$(IN_MODULE) npm ci
	touch $@

check: check-service check-module check-release

check-module: $(MODULE_PACKAGES)
	$(IN_MODULE) npm run check

check-service:
	cargo fmt --check
	cargo clippy --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --no-deps --document-private-items
	$(ensure_cargo_deny)
	cargo deny check licenses bans sources
	if cargo deny fetch >/dev/null 2>&1; then cargo deny check --disable-fetch advisories; else echo 'advisories NOT checked: their database is out of reach'; fi

# Workflows, Dockerfile and scripts.
check-release:
	release/lint

# What is known of the dependencies to be vulnerable.
audit: $(MODULE_PACKAGES)
	$(ensure_cargo_deny)
	cargo deny check advisories
	$(IN_MODULE) npm audit --omit=dev --audit-level=high

# The image of this machine's architecture, without Docker.
image:
	release/image

# The image as Kubernetes runs it, beside a real API server. Needs root.
image-test:
	image=$$(release/image) && EVENTMESH_TEST_IMAGE=$$image cargo test --test image -- --ignored --nocapture --test-threads 1

# What is released, built twice from nothing in different places, and compared. Half an hour.
reproducible:
	release/reproducible

# What needs no API server and takes a few minutes.
bench:
	cargo bench --bench report -- changes answers S L

# Everything, written to benches/REPORT.md.
bench-report:
	benches/ensure-tools
	cargo bench --bench report

# Where time and bytes go: the section of the report in benches/PROFILE.md. Takes perf and heaptrack, which sees the allocator
# of the system only.
bench-profile:
	cargo build --profile bench --no-default-features --target-dir target/system-allocator
	EVENTMESH_HEAP_BINARY=target/system-allocator/release/eventmesh-catalog cargo bench --bench report -- profile

openapi: $(MODULE_PACKAGES)
	$(call written_by,openapi,openapi/v1.json)
	$(IN_MODULE) npm run generate

# What is written down from the arguments.
docs:
	$(call written_by,config schema,config/schema.json)
	$(call written_by,config reference,docs/configuration.md)

# The documentation as a book, in target/book.
book: target/mdbook/$(MDBOOK_VERSION)/bin/mdbook
	$< build

target/mdbook/$(MDBOOK_VERSION)/bin/mdbook:
	cargo install mdbook --locked --version '=$(MDBOOK_VERSION)' --no-default-features --features search --root target/mdbook/$(MDBOOK_VERSION)

properties:
	EVENTMESH_PROPERTY_CASES=10 cargo test --test properties

fuzz:
	rustup run $(NIGHTLY) rustc --version >/dev/null 2>&1 || rustup toolchain install $(NIGHTLY) --profile minimal
	cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --version '^$(CARGO_FUZZ_VERSION)'
	for target in $$(cargo +$(NIGHTLY) fuzz list); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo +$(NIGHTLY) fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

# How many series are told of 250,000 objects.
cardinality:
	EVENTMESH_TEST_LARGE=1 cargo test --release --test monitoring -- cardinality --nocapture --test-threads 1

revocation:
	EVENTMESH_TEST_IDENTITIES=100 cargo test --test access -- revocation --nocapture --test-threads 1

# A million decisions about who may see what, on a real API server.
oracle:
	EVENTMESH_ORACLE_DECISIONS=1000000 cargo test --test access oracle:: -- --nocapture

# Half an hour of a service that is asked, while everything around it changes.
soak:
	EVENTMESH_SOAK_MINUTES=$(SOAK_MINUTES) cargo test --profile bench --test outages -- soak:: --nocapture
