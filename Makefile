# Two commands do everything on a fresh machine: `make chat` and `make test`. Both install first, once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
DEV_STAMP := $(VENV)/installed-dev

.PHONY: chat test check install install-dev reference clean

chat: install
	@$(BIN)/coalm-lite chat

test: install-dev
	@$(BIN)/python -m pytest

# mypy reads the built wheel: it cannot see how an editable install maps converters/ and grammars/ into coalm_lite.
check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m coalm_lite.cli.reference --check README.md
	rm -rf $(VENV)/wheel $(VENV)/checked
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheel .
	$(BIN)/pip install --quiet --no-deps --target $(VENV)/checked $(VENV)/wheel/*.whl
	cd $(VENV) && MYPYPATH=checked bin/mypy --config-file ../pyproject.toml

install: $(STAMP)

install-dev: $(DEV_STAMP)

reference: install-dev
	$(BIN)/python -m coalm_lite.cli.reference --write README.md

# A stamp is as new as the last installation; only a changed pyproject.toml installs again.
$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or run make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --upgrade "pip>=24" "setuptools>=77" wheel
	$(BIN)/pip install --editable .
	@touch $@

$(DEV_STAMP): pyproject.toml $(STAMP)
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
