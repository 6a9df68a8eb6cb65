# Every command of the project, in the order a newcomer needs them.
# Debian's own Python is built with profile-guided optimisation: in a plain loop twice as fast as one built without.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test lint types bench fuzz docs clean

setup: $(STAMP)  ## make the virtual environment and install the locked versions

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev --group fuzz -e .
	touch $@

demo: setup  ## an embedded archive, a gate and real clients
	$(BIN)/dicomgate demo

lab: setup  ## the real peers, and the extras that need a compiler (as root on Debian; else skipped with a reason)
	sh tests/lab/install.sh
	sh tests/lab/openid/install.sh
	$(BIN)/python tests/lab/extras.py constraints.txt

test: setup lab lint types  ## everything that must hold
	$(BIN)/python -m pytest -n 2
	$(BIN)/python fuzz/run.py --seconds 5

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: setup
	$(BIN)/mypy

bench: setup  ## ratios to reference programs, in one run
	$(BIN)/python -m bench

fuzz: setup  ## look for crashers for a while
	$(BIN)/python fuzz/run.py --seconds 300

docs: setup  ## redraw what is drawn, check what is written
	$(BIN)/python docs/design/draw_states.py
	$(BIN)/python -m pytest tests/docs

clean:
	rm -rf $(VENV) build dist
