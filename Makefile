# Needs Python 3.11 or later and make; everything else comes from the package index into $(VENV).
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
# What the quickstart manifest needs beside the core.
DEMO_EXTRAS = emulator
DEMO_MANIFEST = manifests/quickstart.yaml

BENCHMARKS = start_up batch_vs_sdk expression_vs_sdk million_urls tables_vs_json_load

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
PYTEST = $(BIN)/python -m pytest

.PHONY: help demo setup test lint bench soak mutants docs clean

help:
	@echo "make demo     run $(DEMO_MANIFEST) offline, results in results/quickstart/"
	@echo "make setup    a virtual environment with everything for development"
	@echo "make test     the test suite"
	@echo "make lint     style, types and the import contract"
	@echo "make bench    the figures that the README quotes; takes about ten minutes"
	@echo "make soak     long randomised durability runs"
	@echo "make mutants  null controls: each removes a safeguard and expects a promise to break"
	@echo "make docs     rewrite docs/commands.md from the commands' own help"
	@echo "make clean    remove the virtual environment, caches and builds; results stay"

demo: $(VENV)/.demo
	@$(BIN)/hume-runner run $(DEMO_MANIFEST)

setup: $(VENV)/.dev

test: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) -m "not soak and not mutant" $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@failed=0; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || failed=1; done; exit $$failed

soak: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) -m soak --timeout 3600 $(ARGS)

mutants: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) -m mutant --timeout 600 $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python docs/write_commands.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are younger than pyproject.toml while the environment fits it.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	@$(PIP) install --editable '.[$(DEMO_EXTRAS)]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.python
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.demo
