# Everything runs from .venv, which `make setup` builds from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# As many pytest workers as cores; `make test WORKERS=0` runs them in one process.
WORKERS ?= auto
# Simulated worlds of every run of the proof, each for as long as it draws: always the same ones, so that a change is
# what breaks them.
WORLDS ?= --seeds 0:36
# How long `make prove` goes on, in hours.
HOURS ?= 1

.PHONY: setup setup-dev run test lint types unit proof prove coverage lock clean

setup: $(VENV)/.ready
setup-dev: $(VENV)/.ready-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "FitAI needs Python 3.11 or newer: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.lock pyproject.toml client_sdk/python/pyproject.toml | $(BIN)/python
	$(INSTALL) --require-hashes --only-binary=:all: -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e client_sdk/python -e .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	$(INSTALL) --require-hashes --only-binary=:all: -r requirements-dev.lock
	@touch $@

run: setup
	$(BIN)/fitai serve

test: setup-dev lint types unit proof

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

unit: setup-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# That nothing is lost: every small history, simulated worlds, and accidents on real servers. Some minutes.
proof: setup-dev
	$(BIN)/python -m tests.conflict.small_scope
	$(BIN)/python -m tests.simulator $(WORLDS) --workers 2
	$(BIN)/python -m tests.faults --kills 30 --partitions 15 --seed 1

# The same for hours, with worlds and accidents that nobody has seen yet, and every mutant.
prove: setup-dev
	$(BIN)/python -m tests.conflict.small_scope
	$(BIN)/python -m tests.simulator.mutants
	$(BIN)/python -m tests.simulator --seeds 0:40 --hours 0.2 --twice
	$(BIN)/python -m tests.simulator --from $$(date +%s) --minutes $$($(BIN)/python -c 'print($(HOURS) * 36)') --workers 2
	$(BIN)/python -m tests.faults --minutes $$($(BIN)/python -c 'print($(HOURS) * 12)')

coverage: setup-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term-missing:skip-covered

# The locks carry hashes and no address: any index that serves these files will do.
lock:
	$(BIN)/python -m pip install --quiet uv
	sed '/"fitai-client"/d' pyproject.toml > $(VENV)/pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-annotate --no-header \
	  --extra build $(VENV)/pyproject.toml client_sdk/python/pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-annotate --no-header \
	  --extra build --extra dev $(VENV)/pyproject.toml client_sdk/python/pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
