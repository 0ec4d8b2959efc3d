# Two targets do all the set-up on a fresh machine: Python 3.11 or newer, make and git are enough.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: demo test clean

demo: $(INSTALLED)
	$(VENV)/bin/msmt demo --out demo

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest --numprocesses auto --dist loadfile

$(INSTALLED): setup.cfg pyproject.toml
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) demo build *.egg-info
