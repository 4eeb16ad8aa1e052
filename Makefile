# `make run` and `make test` do all the set-up on a fresh machine. Needs: Python 3.11 or newer, make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: run test test-clients test-browser test-postgres strace chromium faults soak check bench bench-full bench-litellm bench-events bench-clis lock prices format clean help

help:
	@echo "make run     start the server on 127.0.0.1:8317 (ARGS='--sandbox --port 9000' passes options on)"
	@echo "make test    run the whole test suite"
	@echo "make test-clients  put the real coding CLIs, SDKs for Node.js, a real OpenID provider and a browser around it (needs npm; 2 GB)"
	@echo "make test-browser  the panel, and hostile pages, in a real Chromium"
	@echo "make test-postgres  the usage ledger in a real PostgreSQL"
	@echo "make faults  the long form of the tests that kill and starve: hours of bad luck in minutes"
	@echo "make soak    10,000 streams while everything around the server breaks: a table and JSON; some minutes"
	@echo "make check   ruff, mypy --strict, import contracts, tidy tests"
	@echo "make bench   how fast it is beside nginx and plain aiohttp (3 minutes; needs a C compiler and nginx)"
	@echo "make bench-full     the same in all its forms (20 minutes); writes docs/performance.md"
	@echo "make bench-litellm  beside LiteLLM, which is installed for it"
	@echo "make bench-events   what a stream event costs, next to the JSON library alone"
	@echo "make bench-clis  what it costs that an official CLI asks, next to asking directly"
	@echo "make format  let ruff format the tree"
	@echo "make lock    renew the locks in requirements/"

run: $(VENV)/.run
	@$(BIN)/proxy $(ARGS)

SUITE := -n auto --dist worksteal --ignore tests/clients --ignore tests/logins --ignore tests/backends --ignore tests/oidc --ignore tests/sdks --ignore tests/browser --ignore tests/postgres

test: $(VENV)/.dev
	@$(BIN)/pytest $(SUITE)

CLIENTS := tests/clients
MODULES := $(CLIENTS)/node_modules

OIDC := tests/oidc

SDKS := tests/sdks

test-clients: $(VENV)/.dev $(MODULES)/.installed $(OIDC)/node_modules/.installed $(SDKS)/node_modules/.installed strace chromium
	@$(BIN)/python $(CLIENTS)/offline.py $(BIN)/pytest -n 2 --dist worksteal $(CLIENTS) tests/logins tests/backends $(OIDC) $(SDKS)

$(OIDC)/node_modules/.installed: $(OIDC)/package.json $(OIDC)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer"; exit 1; }
	@echo "installing an OpenID Connect provider (locked) ..."
	@npm ci --prefix $(OIDC) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(SDKS)/node_modules/.installed: $(SDKS)/package.json $(SDKS)/package-lock.json
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer"; exit 1; }
	@echo "installing the SDKs for Node.js (locked) ..."
	@npm ci --prefix $(SDKS) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# As root it gets it itself, from Debian's packages.
strace:
	@command -v strace > /dev/null || { echo "installing strace ..."; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends strace > /dev/null; } \
		|| { echo "strace is missing; on Debian: apt-get install strace"; exit 1; }

# No script of any package runs, but the two that put a program in its place; both find it in what npm has brought.
$(MODULES)/.installed: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json | $(VENV)/.run
	@command -v npm > /dev/null || { echo "npm is missing: install Node.js 20 or newer"; exit 1; }
	@echo "installing the coding CLIs (locked) ..."
	@npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --silent
	@cd $(MODULES)/@anthropic-ai/claude-code && ../../.bin/node install.cjs
	@cd $(MODULES)/opencode-ai && ../.bin/node postinstall.mjs
	@mkdir -p $(MODULES)/.more && echo "auth-dir: $(CURDIR)/$(MODULES)/.more" > $(MODULES)/.more/config.yaml
	@$(BIN)/proxy --config $(MODULES)/.more/config.yaml cli install kimi grok copilot
	@touch $@

# As root it gets the server itself, from Debian's packages.
test-postgres: $(VENV)/.dev
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || { echo "installing PostgreSQL ..."; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends postgresql > /dev/null; } \
		|| { echo "PostgreSQL is missing; on Debian: apt-get install postgresql"; exit 1; }
	@$(BIN)/pytest tests/postgres

# As root it gets the browser itself, from Debian's packages.
chromium:
	@command -v chromium > /dev/null || command -v google-chrome > /dev/null || { echo "installing Chromium ..."; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium > /dev/null; } \
		|| { echo "Chromium is missing; on Debian: apt-get install chromium"; exit 1; }

test-browser: $(VENV)/.dev chromium
	@$(BIN)/pytest tests/browser

faults: $(VENV)/.dev $(OIDC)/node_modules/.installed strace
	@PROXY_FAULT_ROUNDS=500 PROXY_POOL_STEPS=60000 $(BIN)/pytest --timeout 0 tests/faults/test_pool_machine.py $(OIDC) tests/auth/test_atomic.py tests/management/test_editing.py tests/management/test_openapi.py tests/faults/test_guesses.py tests/faults/test_openapi_document.py tests/faults/test_timing.py tests/proxy/dispatch/test_rehearsal.py tests/proxy/server/test_rehearsal.py
	@$(BIN)/python -m pytest -p tests.canaries.plugin $(SUITE)
	@test ! -e $(MODULES)/.installed || PROXY_FAULT_ROUNDS=500 $(BIN)/python $(CLIENTS)/offline.py $(BIN)/pytest --timeout 0 tests/logins/test_campaign.py
	@[ ! -e $(MODULES)/.installed ] || PROXY_FAULT_ROUNDS=200 $(BIN)/python $(CLIENTS)/offline.py \
		$(BIN)/pytest --timeout 0 -n 2 tests/backends/test_faults.py tests/backends/test_safety.py

soak: $(VENV)/.dev
	@$(BIN)/python bench/soak.py $(ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest tests/test_tidy.py

# What is measured is what a user has: without what the tests need, some of which is loaded where it is found.
PLAIN := build/bench/plain

$(PLAIN)/.installed: requirements/run.txt pyproject.toml
	@echo "installing what is to be measured ..."
	@$(PYTHON) -m venv $(PLAIN)
	@$(PLAIN)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(PLAIN)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(VENV)/.dev $(PLAIN)/.installed
	@$(BIN)/python -m bench.speed

bench-full: $(VENV)/.dev $(PLAIN)/.installed
	@$(BIN)/python -m bench.speed --full

LITELLM := build/bench/litellm

bench-litellm: $(VENV)/.dev $(PLAIN)/.installed $(LITELLM)/.installed
	@$(BIN)/python -m bench.speed --gateways nginx,proxy,LiteLLM --rounds 1

$(LITELLM)/.installed:
	@echo "installing LiteLLM (300 MB) ..."
	@$(PYTHON) -m venv $(LITELLM)
	@$(LITELLM)/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]'
	@touch $@

bench-events: $(VENV)/.dev
	@$(BIN)/python bench/wire_events.py

bench-clis: $(VENV)/.dev $(MODULES)/.installed
	@$(BIN)/python -m bench.cli_backends

prices: $(VENV)/.dev
	@$(BIN)/python tools/renew_prices.py

format: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix .; $(BIN)/ruff format --quiet .

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements/run.txt pyproject.toml
	@echo "installing what it runs on (locked, with hashes) ..."
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo "installing what the tests need (locked, with hashes) ..."
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

lock: $(VENV)/.python
	@$(INSTALL) uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url pyproject.toml requirements/build.in -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url pyproject.toml requirements/build.in --group dev -o requirements/dev.txt

clean:
	@rm -rf $(MODULES) $(OIDC)/node_modules $(SDKS)/node_modules $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .hypothesis
