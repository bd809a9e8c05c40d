# demo   the whole product on real data, from nothing; stops everything it started
# test   every test: those of real servers, which load the machine, by themselves
# check  lint, types, import rules
# dev    the virtual environment with everything in it (.venv)
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test check dev

dev: $(VENV)/.dev

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

demo:
	$(PYTHON) examples/demo.py

test: dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/e2e $(PYTEST_ARGS)
	$(BIN)/python -m pytest tests/e2e $(PYTEST_ARGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
