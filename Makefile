# demo   the whole product on real data, from nothing; stops everything it started
# test   every test: the console's, then Python's, then those of real servers; all share the environments they build
# check  lint, types, import rules, of Python and of the console
# venv   the virtual environment with everything in it (.venv), the console built
# chaos  a storm of crashes for SECONDS, then the books; the same again with the SEED that it prints
# dev    a server on ./.dev and the console with hot reload at http://127.0.0.1:5173
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=
# two workers, a file at a time, in the order of tests/conftest.py
SHARED = -n 2 --dist loadfile --no-loadscope-reorder
NPM = PATH="$(abspath $(BIN)):$$PATH" npm --prefix console

.PHONY: demo test check venv dev console chaos

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
	$(BIN)/python -m compileall -q src # else each process of a test may compile it anew
	folder=$$(mktemp -d) && chmod 755 "$$folder" && trap 'rm -rf "$$folder"' EXIT && \
	export NACRE_TEST_ENVIRONMENTS="$${NACRE_TEST_ENVIRONMENTS:-$$folder/environments}" && \
	{ $(BIN)/python -m pytest $(SHARED) --ignore tests/e2e $(PYTEST_ARGS); first=$$?; \
	$(BIN)/python -m pytest $(SHARED) tests/e2e $(PYTEST_ARGS) && exit $$first; }

check: console
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(NPM) run check

dev: console
	$(BIN)/python console/dev.py

SECONDS ?= 1800
chaos: venv
	NACRE_CHAOS_SECONDS=$(SECONDS) NACRE_CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -s tests/e2e/chaos $(PYTEST_ARGS)
