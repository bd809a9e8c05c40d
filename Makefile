# demo   the whole product on real data, from nothing; stops everything it started
# test   every test: the console's, then those of real servers, which load the machine, by themselves
# check  lint, types, import rules, of Python and of the console
# venv   the virtual environment with everything in it (.venv), the console built
# dev    a server on ./.dev and the console with hot reload at http://127.0.0.1:5173
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=
NPM = PATH="$(abspath $(BIN)):$$PATH" npm --prefix console

.PHONY: demo test check venv dev console

venv: $(VENV)/.made

$(VENV)/.made: pyproject.toml hatch_build.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	$(BIN)/python hatch_build.py
	touch $@

# Node for the console's own checks: the machine's, else one in the virtual environment.
console: venv
	$(BIN)/python hatch_build.py

demo:
	$(PYTHON) examples/demo.py

test: console
	$(NPM) run test
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/e2e $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

check: console
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(NPM) run check

dev: console
	$(BIN)/python console/dev.py
