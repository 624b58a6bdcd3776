# `make` lists what there is. Only python3 (3.11 or newer) and make are presumed; uv is used where it is found.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-sqlite test-postgres soak simulation load lint format lock screenshots bench

PYTHON ?= python3
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)
RUN := .venv/bin/python
# Never fetch another Python: the one that is there is used, or said to be too old.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Another activated environment is none of our business.
unexport VIRTUAL_ENV

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: .venv/.demo ## Start kvadmin with a pretended Azure, http://127.0.0.1:8000 (KVADMIN_PORT), Ctrl-C stops it
	@exec $(RUN) manage.py demo

test: lint test-sqlite test-postgres ## Lint, then all tests on SQLite (with a browser) and on PostgreSQL

test-sqlite: .venv/.dev ## All tests on SQLite, the browser's among them
	@browser="$$($(RUN) -m tests.browser.chromium)" && KVADMIN_CHROMIUM="$$browser" $(RUN) -m pytest -n 2

test-postgres: .venv/.dev ## All tests that use a database, but for the browser's, on PostgreSQL (KVADMIN_TEST_DATABASE_URL, or one started here)
	@$(RUN) -m tests.postgres $(RUN) -m pytest -n 2 -m "not browser"

soak: .venv/.dev ## Random stories of requests, many and long, new ones each time: for before a release
	@KVADMIN_TEST_HYPOTHESIS=soak $(RUN) -m pytest tests/vaults/test_request_machine.py

simulation: .venv/.dev ## A day of 100,000 events with a thief in it, and kill -9 in the middle of an ingest
	@$(RUN) -m tests.simulation

load: .venv/.dev ## A minute of load on two web servers and two workers, one of each killed on the way (PostgreSQL)
	@$(RUN) -m tests.postgres $(RUN) -m tests.load

lint: export KVADMIN_DEBUG := true
lint: .venv/.dev ## Style, types, templates, migrations, settings, and the exported requirements
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/djade --check --target-version 5.2 $$(find templates -name '*.html')
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) manage.py check --fail-level WARNING
	@for set in "" -demo -dev; do $(MAKE) -s .export SET=$$set OUT=- | cmp -s - requirements$$set.txt \
		|| { echo "requirements$$set.txt is not what uv.lock says: run make lock"; exit 1; }; done

format: .venv/.dev ## Put code and templates into the one style
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
	.venv/bin/djade --target-version 5.2 $$(find templates -name '*.html')

bench: .venv/.dev ## Measure the sweep, the search and a reveal, on SQLite and on PostgreSQL
	@$(RUN) -m tests.bench

screenshots: .venv/.dev ## Take the README's pictures anew, of a demo that is started for it
	@browser="$$($(RUN) -m tests.browser.chromium)" && KVADMIN_CHROMIUM="$$browser" $(RUN) -m tests.screenshots

# Not from .venv/.dev where uv is at hand: to install what a changed pyproject.toml asks for, uv.lock must be renewed.
lock: $(if $(UV),,.venv/.dev) ## Renew uv.lock after a change of pyproject.toml, and the requirements that are exported from it
	$(or $(UV),.venv/bin/uv) lock
	@for set in "" -demo -dev; do $(MAKE) -s .export SET=$$set OUT=requirements$$set.txt; done

.PHONY: .export
EXTRAS = --no-dev --extra postgres --extra redis --extra notify
.export: EXTRAS := $(if $(filter -dev,$(SET)),--all-extras,$(if $(filter -demo,$(SET)),--no-dev --extra demo,$(EXTRAS)))
.export:
	@text="$$($(or $(UV),.venv/bin/uv) export --quiet --frozen --no-header --no-annotate --no-emit-project $(EXTRAS))" || exit 1; \
	if [ "$(OUT)" = - ]; then echo "$$text"; else echo "$$text" > $(OUT); fi

# --- What is installed: .venv/.demo is what the demo needs, .venv/.dev is everything ---------------------------------
.venv/.demo: pyproject.toml uv.lock
	@$(call install,--no-dev --extra demo --inexact,-demo)
	@touch $@

.venv/.dev: pyproject.toml uv.lock
	@$(call install,--all-extras,-dev)
	@touch $@ .venv/.demo

define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo "kvadmin needs Python 3.11 or newer: '$(PYTHON)' is not. Name another one with PYTHON=..."; exit 1; }; \
echo "Installing what uv.lock names into .venv ..."; \
if [ -n "$(UV)" ]; then uv sync --quiet --locked --python $(PYTHON) $(1); else \
	{ [ -x $(RUN) ] || $(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "python3 -m venv failed: install the venv module (Debian: python3-venv)."; exit 1; }; } \
	&& $(RUN) -m pip install --quiet --require-hashes -r requirements$(2).txt; fi
endef
