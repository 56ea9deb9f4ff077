# Every target makes .venv and installs what it needs; nothing but Python 3.11+ and make is assumed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TESTS ?=

.PHONY: demo test test-all lint bench torture docs clean

# The example on real data; DATA=folder for a folder of the same kind of files.
demo: $(VENV)/.demo
	$(BIN)/python -m examples.caniuse $(if $(DATA),"$(DATA)")

# A worker for each processor: most tests wait for the disk or for children.
test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not torture" -n auto --dist worksteal $(TESTS)

# The suite on every supported Python that the machine has, those of pyenv included.
test-all:
	@for v in 3.11 3.12 3.13 3.14; do \
	  for python in python$$v "$$HOME"/.pyenv/versions/$$v.*/bin/python; do \
	    if "$$python" -c "" 2>/dev/null; then \
	      echo "== Python $$v"; \
	      $(MAKE) test VENV=.venv/$$v PYTHON="$$python" || exit 1; \
	      continue 2; \
	    fi; \
	  done; \
	  echo "== Python $$v is not on this machine"; \
	done

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

torture: $(VENV)/.test
	$(BIN)/python -m pytest -m torture --timeout 3600 $(TESTS)

# The pages whose code is run: the README, the tutorial and the how-to pages.
docs: $(VENV)/.test
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf .venv build dist *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[yaml,toml]"
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@ $(VENV)/.demo

$(VENV)/.lint: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[lint]"
	@touch $@ $(VENV)/.test $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.demo benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
