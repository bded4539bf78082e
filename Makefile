# What people type. Everything real is in CMake, scripts/ and deploy/local.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
PRESET ?= release

.DEFAULT_GOAL := help
.PHONY: help deps build up down status test conformance bench lint format clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install missing packages (asks for root only for that)
	@scripts/install-deps

build: deps ## Compile (PRESET=release by default; also dev, asan, tsan)
	@scripts/build $(PRESET) $(JOBS)

up: build ## Start everything on this machine and run one prediction
	@deploy/local/stack up --build build/$(PRESET)

down: ## Stop what `make up` started; data stays in .mimeo
	@deploy/local/stack down --build build/$(PRESET)

status: ## Show which parts run
	@deploy/local/stack status --build build/$(PRESET)

test: deps ## Build and run every test; starts and stops what it needs
	@scripts/test

conformance: build ## Drive the official clients against it and print what holds, row by row (ARGS="--row 37")
	@tests/conformance/conformance --build build/$(PRESET) $(ARGS)

bench: build ## Measure against the container alone, FastAPI and Celery, side by side
	@bench/run

lint: ## Check the rules that a compiler does not (layout, coroutines, formatting)
	@scripts/lint

format: ## Format all C++ sources
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

clean: ## Remove build folders (not .mimeo)
	@rm -rf build
