# Every target does its own set-up: a virtual environment in .venv, with everything pinned.
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.installed
# The tests run in three processes for two cores, because each waits for others part of its time; or `make test JOBS=4`.
JOBS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) * 3 // 2)')
PYTEST := $(PY) -m pytest -rs -n $(JOBS) --dist worksteal

.PHONY: setup demo lint check test compiled long coverage audit bench dist requirements upgrade pulumi terraform-install clean

# The environment alone, with this package in it.
setup: $(READY)

demo: $(READY)
	$(PY) -m keyfactor_standins.demo

# Style, format, types, and the direction of imports.
lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

# For the thousand processes that the tests start, which write no bytecode themselves (tests/conftest.py).
compiled: $(READY)
	$(PY) -m compileall -q keyfactor_provider keyfactor_standins

# What takes less than a minute: lint, and the tests whose modules start no processes.
check: lint compiled
	$(PYTEST) -m "not long and not engine and not process"

# Lint, and every test but the long ones.
test: lint compiled
	$(PYTEST) -m "not long"

# The crash tests in their full number, and everything else that takes its time.
long: compiled
	$(PYTEST) -m long -o faulthandler_timeout=0

# The tests once more, with the branches of keyfactor_provider that none of them takes.
coverage: compiled
	$(PYTEST) -m "not long" --cov

# Known vulnerabilities in what is installed; what can't be audited from here is named.
audit: $(READY)
	$(PY) -m tools.audit

bench: compiled
	$(PY) -m bench

# The source package and the wheel: the same bytes whenever and wherever these files are built (hatchling sets every
# time in them to SOURCE_DATE_EPOCH, or to a time of its own).
dist: $(READY)
	rm -rf dist
	.venv/bin/hatchling build --directory dist
	@ls dist/*

# The pins for every platform, from the ranges in pyproject.toml. `make upgrade` takes the newest versions that these
# allow; `make requirements` moves no pin that still fits.
COMPILE = .venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-annotate \
	--no-emit-index-url --custom-compile-command "make requirements" $(UPGRADE)
requirements: $(READY)
	$(COMPILE) --extra pulumi --output-file requirements.txt
	$(COMPILE) --all-extras --group dev --constraint requirements.txt --output-file requirements-dev.txt

upgrade:
	$(MAKE) requirements UPGRADE=--upgrade

# The vendor's own installer, run by the SDK; the CLI goes to .pulumi in this checkout.
pulumi: $(READY)
	$(PY) -m keyfactor_standins.cli

# Where a plain `terraform init` or `tofu init` finds it; this checkout and its .venv have to stay in place.
terraform-install: $(READY)
	$(PY) -m keyfactor_provider.terraform.install

clean:
	rm -rf .venv .demo .pulumi .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %s; set PYTHON=..." % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
