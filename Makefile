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

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m coalm_lite.cli.reference --check README.md
	$(BIN)/python -m build --wheel --no-isolation --outdir $(VENV)/wheel . > $(VENV)/wheel.log || { cat $(VENV)/wheel.log; exit 1; }
	test -x $(VENV)/checked/bin/python || $(PYTHON) -m venv $(VENV)/checked
	$(VENV)/checked/bin/pip install --quiet --no-deps --force-reinstall $(VENV)/wheel/*.whl
	$(BIN)/mypy --python-executable $(VENV)/checked/bin/python --config-file pyproject.toml

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
