# `make` lists the targets. Settings are environment variables or NAME=VALUE on the command line.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
SOURCES := headrace python_backends perf redteam tests
WORKERS := 2
NOTHING_RUNS = echo "headrace: not set up, so nothing runs; 'make up' sets up and starts"

##@ Use
.PHONY: help setup setup-detoxify setup-aiperf serve up down status ask
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Bring what is missing: .venv, packages, Triton, the model (PYTHON=python3.12)
	@build/venv.sh $(PYTHON)
	@$(BIN)/python -m headrace.build

setup-detoxify: setup ## Add torch, for the rails detoxify and classifiers of policy.yaml
	@build/detoxify.sh

setup-aiperf: setup ## Bring NVIDIA's aiperf, in an environment of its own
	@build/aiperf.sh

serve: setup ## Start everything in the foreground; Ctrl-C drains and stops
	@$(BIN)/headrace serve

up: setup ## Start everything in the background
	@$(BIN)/headrace up

down: ## Drain and stop what `make up` started
	@if [ -x $(BIN)/headrace ]; then $(BIN)/headrace down; else $(NOTHING_RUNS); fi

status: ## Say what runs and how it is
	@if [ ! -x $(BIN)/headrace ]; then $(NOTHING_RUNS); exit 3; fi
	@$(BIN)/headrace status

ask: export QUESTION = $(value Q)
ask: ## Ask one question of the running stack: make ask Q="What is the capital of France?"
	@if [ -z "$$QUESTION" ]; then echo 'headrace: no question; make ask Q="What is the capital of France?"' >&2; exit 2; fi
	@if [ ! -x $(BIN)/headrace ]; then $(NOTHING_RUNS) >&2; exit 1; fi
	@$(BIN)/headrace ask -- "$$QUESTION"

##@ Develop
.PHONY: test lint format types check lock lock-detoxify lock-aiperf screenshots hooks
test: setup ## Run the tests, on the real Triton (ARGS="-k name"; WORKERS=1: slower, less memory)
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

lint: setup ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup ## Put the code into the project's format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

types: setup ## Check the types, strictly
	@$(BIN)/mypy

check: lint types test ## All three: lint, types, test

lock: setup ## Write requirements.lock anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-header --quiet \
		--python-version 3.11 --system-certs $(if $(UPGRADE),--upgrade) --output-file requirements.lock

# In it is what requirements.lock has not. uv is told where torch's CPU builds are: UV_FIND_LINKS=FOLDER or
# UV_TORCH_BACKEND=cpu.
lock-detoxify: setup ## Write requirements-detoxify.lock anew (UPGRADE=1 takes newer versions)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["detoxify"], sep="\n")' \
		| $(BIN)/uv pip compile - --universal --generate-hashes --no-header --quiet --python-version 3.11 --system-certs \
		--constraints requirements.lock $$(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' requirements.lock) \
		$(if $(UPGRADE),--upgrade) --output-file requirements-detoxify.lock

lock-aiperf: setup ## Write requirements-aiperf.lock anew from build/aiperf.in (UPGRADE=1 takes newer versions)
	@$(BIN)/uv pip compile build/aiperf.in --universal --generate-hashes --no-header --quiet --python-version 3.11 \
		--system-certs $(if $(UPGRADE),--upgrade) --output-file requirements-aiperf.lock

screenshots: setup ## Take the docs' pictures of the running gateway's page
	@$(BIN)/python -m tests.gateway.page.screenshots http://127.0.0.1:$(or $(GATEWAY_PORT),8080) docs/images

hooks: setup ## Run the checks of .pre-commit-config.yaml before every commit
	@$(BIN)/pre-commit install

##@ Measure
.PHONY: perf bench-core
perf: setup ## Measure the stack with NVIDIA's perf_analyzer (ARGS="--gateway", ARGS="--help")
	@$(BIN)/python -m headrace.build perf
	@$(BIN)/python -m perf $(ARGS)

.PHONY: locust aiperf
locust: setup ## Load the running gateway with realistic users; web UI, or ARGS="--headless"
	@$(BIN)/python -m perf.locust $(ARGS)

aiperf: setup-aiperf ## Profile the running gateway with NVIDIA's aiperf (ARGS="--help")
	@$(BIN)/python -m perf.aiperf $(ARGS)

bench-core: setup ## Compare the stack with the bare engine in one run (ARGS="--help")
	@$(BIN)/python -m perf.bench_core $(ARGS)

.PHONY: bench-guard
bench-guard: setup ## Measure what the guards cost, in one run with guards off (ARGS="--help")
	@$(BIN)/python -m perf.bench_guard $(ARGS)

.PHONY: bench-gateway
bench-gateway: setup ## Measure what the gateway adds, in one run with Triton itself (ARGS="--help")
	@$(BIN)/python -m perf.bench_gateway $(ARGS)

.PHONY: redteam
redteam: setup ## Attack a stack of its own, and list what the guards miss (ARGS=--running: the one that runs)
	@$(BIN)/python -m redteam $(ARGS)

##@ Clean
.PHONY: clean distclean
clean: ## Remove caches of tools and compiled Python
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis dist
	@find $(wildcard $(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Stop every stack and remove all that set-up brought too: .venv and .headrace
	@if [ -x $(BIN)/python ] && [ -x $(BIN)/headrace ]; then $(BIN)/headrace down --all; \
		[ -z "$${HEADRACE_HOME:-}" ] || env -u HEADRACE_HOME $(BIN)/headrace down --all; fi
	@rm -rf .venv .venv.lock .headrace
