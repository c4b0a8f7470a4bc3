# Two commands set everything up on a machine with Python 3.11 or newer: make demo, make test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test docs lint format clean installed

demo: $(VENV)/demo.done
	$(BIN)/halfsquare demo --out demo-output

test: $(VENV)/test.done installed tests/browser/node_modules lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Read and built without the network; a warning is an error.
docs: $(VENV)/docs.done
	$(BIN)/python -m sphinx -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

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

$(VENV)/docs.done: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[docs]'
	touch $@

# The page is tested in a real browser, its accessibility by a package of npm, and SQL by PostgreSQL.
# What is missing is fetched where this may be done; elsewhere it is said.
APT := $(if $(filter 0,$(shell id -u)),apt-get,sudo -n apt-get)
INSTALL := $(APT) install -y -qq --no-install-recommends
MISSING = $(if $(shell command -v chromium chromium-browser google-chrome | head -n 1),,chromium) \
	$(if $(shell command -v chromedriver),,chromium-driver) $(if $(shell command -v npm),,nodejs npm) \
	$(if $(shell command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null),,postgresql)
SAY = echo "make test needs $(strip $(MISSING)): install with 'apt-get install $(strip $(MISSING))' as root,\
 or in your system's own way, and run make test again" >&2; exit 1

installed:
	@if [ -n "$(strip $(MISSING))" ]; then \
	  { command -v apt-get >/dev/null && $(APT) update -qq && $(INSTALL) $(strip $(MISSING)); } \
	  || { $(SAY); }; \
	fi

# axe-core judges the accessibility of the page.
tests/browser/node_modules: tests/browser/package-lock.json | installed
	npm ci --prefix tests/browser --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(VENV) demo-output docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
