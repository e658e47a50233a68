# One entry point for people and for CI. `make help` lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Without its caches Python compiles this project anew in each of the many processes of a demo or a test run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test test-long smoke lint bench lock

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## make .venv from the locked requirements (idempotent)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the locked requirements into .venv"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: setup ## sync every system from simulated sources into an embedded Postgres, print a summary, stop
	@$(BIN)/sync-pipeline demo

up: setup ## keep it all running with the Dagster UI until Ctrl-C
	@$(BIN)/sync-pipeline up

test: setup ## run the whole test suite, real Postgres included
	@$(BIN)/python -m pytest

test-long: setup ## the property tests with many examples, other ones each time
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m hypothesis

smoke: setup ## the whole program as its users start it: demo, up, dagster dev; says what it skips
	@$(BIN)/python -m pytest -m smoke -n 2 -rs

lint: setup ## ruff, pyright, and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-cache

bench: setup ## measure the merge against Postgres's own floor
	@$(BIN)/python -m sync_pipeline_tests.bench

lock: ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev pyproject.toml -o requirements.lock
