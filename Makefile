# Every target sets itself up: a virtual environment in $(VENV), made from pyproject.toml by Python >= 3.11 and pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint wheel guests docs

help:
	@echo "make demo       prove and verify one image classification"
	@echo "make test       the tests (JOBS=$(JOBS) processes)"
	@echo "make test-long  all tests, the slow ones too"
	@echo "make lint       style, types, and names that nothing uses"
	@echo "make wheel      build the wheel, install it bare elsewhere, verify a receipt with it"
	@echo "make guests     rebuild the committed guest programs"
	@echo "make docs       generated pages, test vectors, and the API reference in build/reference"

# The stamp is written last, so that an interrupted installation is done again.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[all]'
	touch $@

setup: $(VENV)/.installed

demo: setup
	$(RUN) host/digits.py

test: setup
	$(RUN) -m pytest -n $(JOBS)

test-long: setup
	$(RUN) -m pytest -n $(JOBS) -m "slow or not slow"

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) tools/dead_code.py

wheel: setup
	$(RUN) tools/check_wheel.py

guests: setup
	$(RUN) tools/build_guests.py

docs: setup
	$(RUN) tools/describe_air.py
	$(RUN) tools/python_constructs.py
	$(RUN) tools/make_vectors.py
	$(RUN) tools/web_machine.py
	$(RUN) tools/web_page.py
	$(RUN) -W error -m pdoc -d google -o build/reference zkvm zkvm.guest zkvm.guest.toolchain zkvm.ml
