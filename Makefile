# Everything runs from .venv, which `make setup` builds from the lock files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# As many pytest workers as cores; `make test WORKERS=0` runs them in one process.
WORKERS ?= auto

.PHONY: setup setup-dev run test lint types unit coverage lock clean

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

test: setup-dev lint types unit

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup-dev
	$(BIN)/mypy

unit: setup-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

coverage: setup-dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term-missing:skip-covered

# The locks carry hashes and no address: any index that serves these files will do.
lock:
	$(BIN)/python -m pip install --quiet uv
	sed '/"fitai-client"/d' pyproject.toml > $(VENV)/pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra build $(VENV)/pyproject.toml client_sdk/python/pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	  --extra build --extra dev $(VENV)/pyproject.toml client_sdk/python/pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
