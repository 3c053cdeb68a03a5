# make help lists what there is. The two that matter: make run, make test.
PYTHON ?= python3
BIN := .venv/bin
RUST := /usr/bin/rustc:rustc /usr/bin/cargo:cargo /usr/bin/wasm-ld-14:lld-14 \
	/usr/lib/rustlib/wasm32-unknown-unknown:libstd-rust-dev-wasm32 \
	/usr/bin/clang-14:clang-14 /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux:libclang-rt-14-dev
FILTER := operator/turnout/filter

.DEFAULT_GOAL := help
.PHONY: help venv run test lint format filter-test crds filter bench drill matrix story clean

help: ## List the commands.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

venv: .venv/.complete ## Make .venv, with Turnout and all tools at the versions of the lock.

run: venv ## Serve manifests/samples/quickstart with three fake providers that you can take down.
	@.ci/need /usr/bin/curl:curl || echo "the commands that it prints need curl"
	@exec $(BIN)/turnout run manifests/samples/quickstart --fake-providers

test: venv lint filter-test ## Everything: lint, the filter's own tests, pytest with a real Envoy and a real Kubernetes.
	@.ci/need /usr/bin/curl:curl || { echo "the README's commands, which a test runs, need curl"; test -z "$$CI"; }
	@$(BIN)/pytest

lint: venv ## Style, types, and which layer may import which.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo >/dev/null || $(BIN)/lint-imports --no-cache --no-logo

format: venv ## Format the Python code.
	@$(BIN)/ruff check --fix --quiet; $(BIN)/ruff format

filter-test: ## The Wasm filter: built anew and compared byte for byte, its native tests, 20 seconds of fuzzing.
	@.ci/need $(RUST) || { echo "left out: the filter's own tests need Debian 12's Rust"; test -z "$$CI"; exit; }; \
	mkdir -p target && $(FILTER)/build.sh target/turnout.wasm && cmp target/turnout.wasm $(FILTER)/turnout.wasm && \
	RUSTC=/usr/bin/rustc /usr/bin/cargo test --quiet --offline --manifest-path $(FILTER)/Cargo.toml --target-dir target && \
	{ $(FILTER)/fuzz.sh 20 target/fuzz >target/fuzz.log 2>&1 || { tail -40 target/fuzz.log; exit 1; }; } && \
	grep stat::number_of_executed_units target/fuzz.log

crds: venv ## Write crds/*.yaml anew, after a change of operator/turnout/api.
	@$(BIN)/turnout crds -o crds

filter: ## Build the Wasm filter anew, after a change of operator/turnout/filter/src.
	@.ci/need $(RUST) && $(FILTER)/build.sh $(FILTER)/turnout.wasm

bench: venv ## Measure: CPU per request beside plain Envoy, start of turnout run.
	@for one in router start; do PYTHONPATH=tests $(BIN)/python tests/bench/bench_$$one.py || exit 1; done

drill: venv ## An outage and a storm of requests, for eight minutes; writes docs/outage.* and docs/storm.*.
	@for one in outage storm; do PYTHONPATH=tests $(BIN)/python tests/bench/bench_$$one.py || exit 1; done

matrix: venv ## Every disturbance at every write of a rotation: 600 of them, in ten minutes; prints the table.
	@CRASH_MATRIX_EVERY=1 $(BIN)/pytest tests/crash -s

story: venv ## The story of one provider's bad day and a group of four, in four minutes; writes docs/story.*.
	@PYTHONPATH=tests $(BIN)/python tests/bench/story.py

clean: ## Delete what these commands made, but for issued keys.
	@rm -rf .venv target .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.complete: requirements-dev.lock pyproject.toml
	@.ci/venv $(PYTHON) .venv requirements-dev.lock
	@touch $@
