# Two commands do everything on a fresh machine: `make chat` and `make test`. Both install first, once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
DEV_STAMP := $(VENV)/installed-dev
# The extra onnx stands apart: it brings torch, and pins huggingface_hub below the version that the core takes.
ONNX_VENV := .venv-onnx
ONNX_STAMP := $(ONNX_VENV)/installed
TORCH ?= torch==2.13.0
ONNX_TESTS := $(wildcard tests/*/test_*onnx*.py) tests/converters/onnx_export tests/converters/test_recheck.py \
	tests/nano/test_model.py tests/hub

.PHONY: chat test test-onnx check install install-dev reference clean

chat: install
	@$(BIN)/coalm-lite chat

test: install-dev
	@$(BIN)/python -m pytest

# What needs the extra onnx or torch, and the Hub's protocol with that older huggingface_hub.
test-onnx: $(ONNX_STAMP)
	@$(ONNX_VENV)/bin/python -m pytest $(ONNX_TESTS)

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

$(ONNX_STAMP): pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) not found: run make PYTHON=/path/to/python"; exit 1; }
	test -x $(ONNX_VENV)/bin/python || $(PYTHON) -m venv $(ONNX_VENV)
	$(ONNX_VENV)/bin/pip install --quiet --upgrade "pip>=24" "setuptools>=77" wheel
	$(ONNX_VENV)/bin/pip install --quiet "$(TORCH)"
	$(ONNX_VENV)/bin/pip install --quiet --editable ".[onnx,dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(ONNX_VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
