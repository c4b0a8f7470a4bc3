# Two commands set everything up on a machine with Python 3.11 or newer: make demo, make test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint format clean

demo: $(VENV)/demo.done
	$(BIN)/halfsquare demo --out demo-output

test: $(VENV)/test.done tests/browser/node_modules lint
	$(BIN)/python -m pytest

lint: $(VENV)/test.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/test.done
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[demo,page]'
	touch $@

$(VENV)/test.done: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[demo,page,test,dev]'
	touch $@

# axe-core judges the accessibility of the page.
tests/browser/node_modules: tests/browser/package-lock.json
	npm ci --prefix tests/browser --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
