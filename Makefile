# Every target sets itself up: a virtual environment in $(VENV), made from pyproject.toml by Python >= 3.11 and pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
JOBS ?= 2
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint wheel guests docs site links

help:
	@echo "make demo       prove and verify one image classification"
	@echo "make test       the tests (JOBS=$(JOBS) processes)"
	@echo "make test-long  all tests, the slow ones too"
	@echo "make lint       style, types, and names that nothing uses"
	@echo "make wheel      build the wheel, install it bare elsewhere, verify a receipt with it"
	@echo "make guests     rebuild the committed guest programs"
	@echo "make docs       generated pages and pictures, test vectors, and the site in build/site"
	@echo "make site       the site alone; a warning or a broken link is an error"
	@echo "make links      ask every server that the pages link to"

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
	$(RUN) -m mypy --num-workers $(JOBS)
	$(RUN) tools/dead_code.py

wheel: setup
	$(RUN) tools/check_wheel.py

guests: setup
	$(RUN) tools/build_guests.py

docs: setup
	$(RUN) tools/digests.py
	$(RUN) tools/describe_air.py
	$(RUN) tools/python_constructs.py
	$(RUN) tools/make_vectors.py
	$(RUN) tools/web_machine.py
	$(RUN) tools/web_page.py
	$(RUN) tools/tour.py
	$(RUN) tools/draw.py
	$(RUN) tools/build_site.py

site: setup
	$(RUN) tools/build_site.py

links: setup
	$(RUN) tools/build_site.py --external
