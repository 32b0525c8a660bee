# Every target does its own set-up: a virtual environment in .venv, with everything pinned.
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.installed

.PHONY: setup demo test long coverage audit bench pulumi terraform-install clean

# The environment alone, with this package in it: what the examples run in.
setup: $(READY)

demo: $(READY)
	$(PY) -m keyfactor_standins.demo

test: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PY) -m tools.typed
	$(PY) -m tools.audit
	$(PY) -m pytest -m "not long" -rs

# The crash tests in their full number, and everything else that takes its time.
long: $(READY)
	$(PY) -m pytest -m long -rs

# The tests once more, with the branches of keyfactor_provider that none of them takes.
coverage: $(READY)
	$(PY) -m pytest -m "not long" --cov

# Known vulnerabilities in what is installed; what can't be audited from here is named.
audit: $(READY)
	$(PY) -m tools.audit

bench: $(READY)
	$(PY) -m bench

# The vendor's own installer, run by the SDK; the CLI goes to .pulumi in this checkout.
pulumi: $(READY)
	$(PY) -m keyfactor_standins.cli

# Where a plain `terraform init` or `tofu init` finds it; this checkout and its .venv have to stay in place.
terraform-install: $(READY)
	$(PY) -m keyfactor_provider.terraform.install

clean:
	rm -rf .venv .demo .pulumi .mypy_cache .ruff_cache .hypothesis .coverage

$(READY): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %s; set PYTHON=..." % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
