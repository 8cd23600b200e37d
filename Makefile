# Needs Python 3.11 or later and make; everything else comes from the package index into $(VENV).
PYTHON ?= python3
VENV ?= .venv
# One more than cores on a small machine: now and then a test waits for a process or for the service. Each of them collects
# all tests, which takes as long as hundreds of them. The sweep waits for the disk, too.
JOBS ?= 3
SWEEP_JOBS ?= 4
# A rehearsal, and a measurement on this machine; what the two need beside the core.
DEMO_EXTRAS = emulator tables report
DEMO_MANIFESTS = manifests/quickstart.yaml manifests/local-survey.yaml

BENCHMARKS = start_up batch_vs_sdk expression_vs_sdk million_urls tables_vs_json_load one_large_answer many_media loop_turn \
  threads_of_downloads upload_vs_curl preparation_vs_ffmpeg local cluster remote growth

# Development and CI install exactly what the lock says, by hash; users get the ranges in pyproject.toml.
LOCK = requirements-dev.lock
TESTED_EXTRAS = emulator media tables report figures local remote cluster dev
EXTRAS = $(TESTED_EXTRAS) lint
# What the ranges are tried with: all but what no version of a requirement decides. That is the import contract and the
# tests of tests, what is killed, limited and interrupted, pure decisions, and recipes for programs of others.
UNIT = $(addprefix --ignore tests/,durability expression engine planning \
  $(addsuffix .py,test_layers test_outside test_members test_guards test_house test_tiers test_warm test_gitops test_docs_shards) \
  $(addprefix cli/test_,limits.py streams.py planted_links.py read_only.py state_merge.py derived_outputs.py))
comma = ,
empty =
with_extras = .[$(subst $(empty) $(empty),$(comma),$(1))]

BIN = $(VENV)/bin
INSTALL = -m pip --quiet --disable-pip-version-check --no-input install
PIP = $(BIN)/python $(INSTALL)
PYTEST = $(BIN)/python -m pytest

# A test run writes bytecode: each process that a test starts would compile all of it again.
unexport PYTHONDONTWRITEBYTECODE
# What a person waits for: the sample of each long table; `sweep` has the rest. By file, or each worker would encode the
# same media and start the same service.
QUICK = not soak and not mutant and not sweep

.PHONY: help demo setup models test sweep test-lowest test-newest lint lock bench soak mutants docs pictures clean

help:
	@echo "make demo     run $(DEMO_MANIFESTS) offline,"
	@echo "              results in results/quickstart/ (simulated) and results/local-survey/ (measured)"
	@echo "make setup    a virtual environment with everything for development"
	@echo "make models   the models that tests measure with, into HUME_RUNNER_MODELS or your cache folder"
	@echo "make test     the test suite, with the versions in $(LOCK)"
	@echo "make sweep    the rest of its tables: each operation killed, each odd file, each lost answer; CI runs it, too"
	@echo "make test-lowest, make test-newest"
	@echo "              most of it with the lowest and the newest versions that pyproject.toml allows"
	@echo "make lint     style, types and the import contract"
	@echo "make lock     renew $(LOCK)"
	@echo "make bench    the figures that the README quotes; takes half an hour to an hour"
	@echo "make soak     long randomised durability runs"
	@echo "make mutants  null controls: each removes a safeguard and expects a promise to break"
	@echo "make docs     rewrite what is generated: docs/commands.md, the tables of docs/manifest.md, what editors offer"
	@echo "make pictures the README's pictures, from real runs"
	@echo "make clean    remove the virtual environment, caches and builds; results stay"

demo: $(VENV)/.demo
	@$(BIN)/hume-runner run $(DEMO_MANIFESTS)

setup: $(VENV)/.dev

models: $(VENV)/.dev
	@$(BIN)/hume-runner models pull --yes
	@$(BIN)/python .ci/recordings.py

test: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) --dist loadfile -m "$(QUICK)" $(ARGS)

# Properties once more, with more examples than the suite draws.
sweep: $(VENV)/.dev
	$(PYTEST) -n $(SWEEP_JOBS) --timeout 600 -m "(sweep or hypothesis) and not soak and not mutant" --hypothesis-profile sweep $(ARGS)

# Each in an environment of its own, made anew: what is installed already would hide what the ranges give.
test-lowest:
	@$(PYTHON) -m venv --clear $(VENV)-lowest
	@$(PYTHON) .ci/lowest.py > $(VENV)-lowest/constraints.txt
	@$(VENV)-lowest/bin/python $(INSTALL) --constraint $(VENV)-lowest/constraints.txt --editable '$(call with_extras,$(TESTED_EXTRAS))'
	$(VENV)-lowest/bin/python -m pytest -n $(JOBS) --dist loadfile -m "$(QUICK)" $(UNIT) $(ARGS)

test-newest:
	@$(PYTHON) -m venv --clear $(VENV)-newest
	@$(VENV)-newest/bin/python $(INSTALL) --editable '$(call with_extras,$(TESTED_EXTRAS))'
	$(VENV)-newest/bin/python -m pytest -n $(JOBS) --dist loadfile -m "$(QUICK)" $(UNIT) $(ARGS)

# It names no index and no place on this machine: wherever it is installed from, the hashes decide.
lock:
	@$(PYTHON) -m venv --clear $(VENV)-lock
	@$(VENV)-lock/bin/python $(INSTALL) pip-tools
	@CUSTOM_COMPILE_COMMAND="make lock" $(VENV)-lock/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras \
	  --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  $(addprefix --extra ,$(EXTRAS)) --output-file $(LOCK) pyproject.toml
	@! grep -nE '://|@ |(^|[ =])/' $(LOCK)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@failed=0; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || failed=1; done; exit $$failed

soak: $(VENV)/.dev
	$(BIN)/python -m benchmarks.soak
	$(PYTEST) -n $(JOBS) -m soak --timeout 3600 -k "not random_rounds" $(ARGS)

mutants: $(VENV)/.dev
	$(PYTEST) -n $(JOBS) -m mutant --timeout 600 $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python docs/write_commands.py
	$(BIN)/python docs/write_offers.py
	$(BIN)/python docs/write_manifest.py
	$(BIN)/python docs/write_schemas.py

pictures: $(VENV)/.dev
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-newest $(VENV)-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are younger than pyproject.toml while the environment fits it.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than Python 3.11; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# This file is younger, too, where a demo has come to need more.
$(VENV)/.demo: pyproject.toml Makefile | $(VENV)/.python
	@$(PIP) --editable '$(call with_extras,$(DEMO_EXTRAS))'
	@touch $@

$(VENV)/.dev: pyproject.toml $(LOCK) | $(VENV)/.python
	@$(PIP) --require-hashes --requirement $(LOCK)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.demo
