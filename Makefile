# Sluice's commands. Each installs what it needs into .venv first; up to date, that costs nothing.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PY := .venv/bin/python
RUN := .venv/.run
DEV := .venv/.dev
NAME ?= gateway
ARGS ?=
JOBS ?= auto
TESTS := $(PY) -m pytest -n $(JOBS) --dist worksteal

.PHONY: help demo serve test check lint fmt types contracts django attacks soak bench pages pins clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUN) ## run the whole story once on real data, into var/
	@$(PY) manage.py demo $(ARGS)

serve: $(RUN) ## serve the exchange in var/: web, worker and node; Ctrl-C stops them
	@$(PY) manage.py serve $(ARGS)

test: $(DEV) ## run the tests on SQLite (ARGS="-k money" JOBS=0 for some; SLUICE_TEST_DB=postgres for PostgreSQL)
	@$(TESTS) $(ARGS)

check: lint types contracts django ## everything: lint, types, contracts, tests on SQLite, then PostgreSQL, no skips
	@echo "== tests on SQLite"
	@SLUICE_NO_SKIP=1 SLUICE_TEST_DB=sqlite $(MAKE) test
	@echo "== on PostgreSQL, the tests that use the exchange's database"
	@SLUICE_NO_SKIP=1 SLUICE_TEST_DB=postgres $(MAKE) test ARGS=--database

lint: $(DEV) ## ruff: rules and format
	@echo "== ruff"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

fmt: $(DEV) ## let ruff mend and format
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(DEV) ## mypy, strict on all that knows no Django
	@echo "== mypy"
	@$(PY) -m mypy

contracts: $(DEV) ## import-linter: the layers and the pure modules
	@echo "== import-linter"
	@.venv/bin/lint-imports --no-cache

django: $(DEV) ## Django's own checks, and migrations that match the models
	@echo "== manage.py check"
	@var=$$(mktemp -d); trap 'rm -rf "$$var"' EXIT; export SLUICE_VAR=$$var DATABASE_URL=; \
	$(PY) manage.py makemigrations --check --dry-run; $(PY) manage.py check

attacks: $(DEV) ## run the attacks on what is released, and print their scores
	@$(TESTS) -q tests/attacks $(ARGS)

soak: $(DEV) ## the same attacks many times over, in one table (also in build/soak.txt)
	@mkdir -p build
	@SLUICE_SOAK=1 $(TESTS) -q --timeout=3600 tests/attacks tests/sandbox/test_private.py $(ARGS) \
		| tee build/soak.txt

bench: $(DEV) ## run a benchmark (NAME=gateway); its last line is one JSON object
	@$(PY) -m benchmarks $(NAME) $(ARGS)

pages: $(DEV) ## write the pages that are generated: docs/errors.md, docs/states.md
	@$(PY) docs/generate.py

pins: $(DEV) ## pin the newest versions that pyproject.toml allows (needs uv)
	@command -v uv >/dev/null || { echo "make: uv is needed for this; pip install uv" >&2; exit 1; }
	@export UV_CUSTOM_COMPILE_COMMAND="make pins"; \
	pin="uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url"; \
	$$pin pyproject.toml --extra demo -o requirements.txt; \
	$$pin pyproject.toml --extra demo --extra dev -c requirements.txt -o requirements-dev.txt

clean: ## remove .venv, build/ and caches; var/ stays
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): requirements.txt
	@.ci/venv $<
	@touch $@

$(DEV): requirements-dev.txt requirements.txt
	@.ci/venv $<
	@touch $(RUN) $@
