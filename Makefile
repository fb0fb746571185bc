# Everything runs from .venv, which is made on the first call and brought up to date when what it is made of changes.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find src -name '*.pyx' -o -name '*.po') pyproject.toml setup.py

.PHONY: run test system lint types layers dead duplicates pytest fuzz bench catalogues man dist clean

run: .venv/ready
	@$(BIN)/portbook $(ARGS)

test: system lint types layers dead duplicates pytest

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[serve]'
	@touch $@

.venv/tested: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

system:
	@sh scripts/system-packages

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/tested
	$(BIN)/mypy

layers: .venv/tested
	$(BIN)/lint-imports

dead: .venv/tested
	$(BIN)/vulture

duplicates: .venv/tested
	$(BIN)/pylint src bench scripts fuzz --recursive=y --disable=all --enable=duplicate-code --min-similarity-lines=6 --ignore-imports=y --ignore-signatures=y

pytest: .venv/tested
	$(BIN)/pytest $(ARGS)

fuzz: .venv/tested
	for harness in fuzz/fuzz_*.py; do $(BIN)/python $$harness || exit 1; done

bench: .venv/tested
	$(BIN)/python bench/report.py

catalogues: .venv/tested
	$(BIN)/python scripts/catalogues.py

man: .venv/tested
	$(BIN)/python scripts/manual.py

dist: .venv/tested
	$(BIN)/python -m build

clean:
	rm -rf .venv build dist src/*.egg-info
	find src -name '*.so' -o -name '*.c' -o -name '*.mo' | xargs rm -f
