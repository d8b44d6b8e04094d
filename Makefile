# The only door: every recipe a person or a machine runs is here.
#
#   make serve     set everything up and run a server with the sample apps
#   make test      set everything up and run every test, in parts: unit fuzz oracle interop sdk pyclient bench e2e
#                  (PARTS chooses some; each part's time is told at the end)
#   make quick     the tests of what changed since main, without the slow ones: under a minute
#   make check     lint, format, types, layers, sizes, dead code, rules and their tests
#   make fmt       format the Python code
#   make fuzz      property tests with fresh seeds for FUZZ_SECONDS (default 600)
#   make oracle    live answers against fresh runs for ORACLE_COMMITS (default 200000) random commits
#   make histories functions at once against functions one after the other, HISTORIES (default 10000) times
#   make kill      SIGKILL while files and streams are written and jobs run: KILL_ROUNDS (default 1000; half
#                  of it for streams), KILL_SEED; what was answered must be there (20 minutes)
#   make converge  Python clients beside JavaScript ones on a server that is killed: CONVERGE (default 50)
#                  random histories from CONVERGE_SEED (default 1) on (10 minutes)
#   make hostile   attacks on a live server: what innocent users feel, memory, descriptors (25 minutes)
#   make bulk      a million rows (BULK_ROWS) in and out by the Python client: rows/s, peak of memory (7 minutes)
#   make bench     the workloads of bench/README.md, one table (15 minutes; BENCH_FLAGS chooses)
#   make rewrite   write the expected parts of the case files again; review the diff
#   make compiled  compile the server in build/ and run every test in Python and the oracle on it
#   make package   build the wheel and the sdist into dist/ and try both in empty environments;
#                  COMPILED=1: a compiled wheel for this machine and Python too
#   make gen       write generated files again (spec/errors.md, spec/protocol.schema.json,
#                  blocking_tables.py, the sync half of the Python client)
#   make lock      resolve the Python and npm dependencies again
#   make clean     delete what the other targets made

PYTHON ?= python3
SERVE_FLAGS ?=
PARTS ?=
QUICK_SINCE ?= main
FUZZ_SECONDS ?= 600
ORACLE_COMMITS ?= 200000
ORACLE_SEED ?= 1
HISTORIES ?= 10000
KILL_ROUNDS ?= 1000
KILL_SEED ?=
CONVERGE ?= 50
CONVERGE_SEED ?= 1
BENCH_FLAGS ?=
HOSTILE_FLAGS ?=
BULK_ROWS ?= 1000000
COMPILED ?=
COMPILED_COMMITS ?= 5000
COMPILE_LEVEL ?= 2
PYTEST_FLAGS ?=
# One more than cores: tests wait for processes and disks for a third of their time.
PYTEST_WORKERS ?= $(shell expr $$(nproc 2>/dev/null || sysctl -n hw.ncpu) + 1)
E2E_FLAGS ?=

bin := .venv/bin
examples := todo chat sign-in gallery
bundles := $(examples:%=examples/%/dist/index.html)
moved := $(examples:%=examples/%/dist/tricedb/index.html)
manifests := $(filter-out examples/expo-todo/%,\
               $(wildcard clients/*/package.json examples/*/package.json server/tests/*/package.json))
expo := examples/expo-todo/node_modules/.stamp
sdk := clients/js/dist/index.js
workshop := examples/workshop/build/index.html

.DEFAULT_GOAL := help
.PHONY: help serve test unit interop e2e quick check fmt fuzz oracle histories kill converge hostile bulk bench rewrite compiled package gen \
        lock \
        clean setup
.DELETE_ON_ERROR:
.SECONDEXPANSION:

help:
	@sed -n 's/^#   //p' Makefile

# --- running -------------------------------------------------------------------------------------

serve: .venv/runtime.stamp $(bundles)
	@echo "Starting the server; Ctrl-C stops it."
	@exec $(bin)/trice serve --sample examples $(SERVE_FLAGS)

setup: .venv/development.stamp node_modules/.stamp $(sdk) $(bundles) $(moved) $(workshop)

export PYTEST_WORKERS PYTEST_FLAGS E2E_FLAGS

test: setup $(expo)
	@$(bin)/python scripts/test_parts.py $(PARTS)

unit interop e2e: setup
	@$(bin)/python scripts/test_parts.py $@

quick: .venv/development.stamp
	@$(bin)/python scripts/quick_tests.py --since $(QUICK_SINCE)

check: setup $(expo)
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	cd clients/python && ../../$(bin)/mypy
	node_modules/.bin/pyright --project clients/python --pythonpath $(bin)/python
	$(bin)/mypy --config-file examples/frameworks/mypy.ini examples/frameworks
	set -e; for name in $(examples) workshop shop; do node_modules/.bin/tsc --project examples/$$name; done
	node_modules/.bin/tsc --noEmit --project examples/expo-todo
	node_modules/.bin/tsc --project server/tests/e2e
	node_modules/.bin/tsc --project clients/js
	cd clients/js && ../../node_modules/.bin/prettier --check --log-level warn .
	$(bin)/pytest server/tests/test_tidy.py server/tests/test_seams.py server/tests/test_compiled.py

fmt: .venv/development.stamp node_modules/.stamp
	$(bin)/ruff check --fix-only .
	$(bin)/ruff format .
	cd clients/js && ../../node_modules/.bin/prettier --write --log-level warn .

fuzz: setup
	TRICE_FUZZ_SECONDS=$(FUZZ_SECONDS) $(bin)/python scripts/test_parts.py fuzz

# With hashes that are the same in every process, so that a seed fails again.
oracle: setup
	PYTHONHASHSEED=0 $(bin)/python scripts/oracle.py --commits $(ORACLE_COMMITS) --seed $(ORACLE_SEED)

histories: setup
	TRICE_HISTORIES=$(HISTORIES) $(bin)/pytest -n $(PYTEST_WORKERS) server/tests/fuzz/test_run_histories.py

kill: setup
	$(bin)/python scripts/kill.py --rounds $(KILL_ROUNDS) $(KILL_SEED:%=--seed %)

converge: setup
	TRICE_CONVERGE_SEEDS=$(CONVERGE) TRICE_CONVERGE_SEED=$(CONVERGE_SEED) \
	  $(bin)/pytest -n $(PYTEST_WORKERS) clients/python/tests/test_converge.py

hostile: setup
	bench/hostile/run $(HOSTILE_FLAGS)

bulk: .venv/development.stamp
	PYTHONPATH=clients/python/src $(bin)/python scripts/bulk_rows.py --rows $(BULK_ROWS)

bench: setup
	bench/run $(BENCH_FLAGS)

rewrite: setup
	REWRITE=1 $(bin)/pytest server/tests/cases $(PYTEST_FLAGS)

# Python finds the copy before the tree. Hashes as in `oracle`.
compiled: setup
	$(bin)/python scripts/compile.py build/compiled $(COMPILE_LEVEL)
	PYTHONPATH=$(CURDIR)/build/compiled $(bin)/pytest -n $(PYTEST_WORKERS) --dist loadgroup $(PYTEST_FLAGS)
	PYTHONPATH=$(CURDIR)/build/compiled PYTHONHASHSEED=0 \
	  $(bin)/python scripts/oracle.py --commits $(COMPILED_COMMITS) --seed $(ORACLE_SEED)

package: .venv/development.stamp
	rm -rf dist
	$(bin)/python -m hatchling build --directory dist
ifneq ($(COMPILED),)
	$(bin)/python scripts/compile.py build/compiled $(COMPILE_LEVEL)
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(bin)/python -m hatchling build --target wheel --directory dist
endif
	$(PYTHON) scripts/try_package.py dist/tricedb-*
	cd clients/python && ../../$(bin)/python -m hatchling build --directory ../../dist

gen: .venv/development.stamp
	$(bin)/python scripts/document_errors.py
	$(bin)/python scripts/document_protocol.py
	$(bin)/python scripts/blocking.py
	$(bin)/python scripts/sync_client.py

# --- setting up: a stamp is as new as what it was made from -----------------------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "trice needs Python 3.11 or later; '$(PYTHON)' is older. Try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Making a Python environment in .venv."
	@$(PYTHON) -m venv .venv

# Nothing but the locked wheels, and the tree itself in place.
.venv/runtime.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing what the server needs (requirements.lock) into .venv: half a minute, once."
	@$(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/development.stamp: requirements-dev.lock .venv/runtime.stamp
	@echo "Installing what tests and checks need (requirements-dev.lock) into .venv."
	@$(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

node_modules/.stamp: package-lock.json package.json $(manifests)
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' || \
	  { echo "trice needs Node 20.19 or later to build the sample apps and run its tests." >&2; exit 1; }
	@echo "Installing what the sample apps need (package-lock.json) into node_modules."
	@npm ci --no-progress --loglevel=error
	@touch $@

# An install of its own: Expo and React Native are 300 MB, which only its tests and checks need.
$(expo): examples/expo-todo/package-lock.json examples/expo-todo/package.json node_modules/.stamp | $(sdk)
	@echo "Installing Expo and React Native into examples/expo-todo: half a minute, once."
	@cd examples/expo-todo && npm ci --ignore-scripts --no-audit --no-fund --no-progress --loglevel=error
	@touch $@

examples/%/dist/index.html: node_modules/.stamp examples/%/index.html examples/%/vite.config.ts $$(wildcard examples/$$*/src/*)
	@echo "Building the sample app $*."
	@cd examples/$* && ../../node_modules/.bin/vite build --logLevel warn
	@touch $@

# The same on trice's own client, inside of the other: `trice serve --sample` serves one folder.
examples/%/dist/tricedb/index.html: examples/%/dist/index.html $(sdk) server/tests/e2e/tricedb.config.ts
	@echo "Building the sample app $* on the TypeScript SDK."
	@cd examples/$* && ../../node_modules/.bin/vite build --config ../../server/tests/e2e/tricedb.config.ts --logLevel warn
	@touch $@

$(sdk): node_modules/.stamp clients/js/tsconfig.build.json $(shell find clients/js/src -name '*.ts*')
	@echo "Building the TypeScript SDK."
	@rm -rf clients/js/dist
	@node_modules/.bin/tsc --project clients/js/tsconfig.build.json
	@touch $@

# It has a server of its own, so `trice serve --sample` must not find it.
$(workshop): node_modules/.stamp examples/workshop/index.html examples/workshop/vite.config.ts $(wildcard examples/workshop/src/*)
	@echo "Building the sample app workshop."
	@cd examples/workshop && ../../node_modules/.bin/vite build --logLevel warn

lock: .venv/development.stamp
	scripts/lock

clean:
	rm -rf .venv node_modules build dist clients/*/dist examples/*/dist examples/*/build examples/*/node_modules test-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
