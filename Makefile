# One verb per task. Python 3.11 or newer is all that must be there; the rest is installed into .venv, by hash.

.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules
# The machine's own certificates, as pip uses them: a company's proxy is trusted where the machine trusts it.
export UV_SYSTEM_CERTS ?= 1

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# The tests share one machine with the local clouds that they start: two workers, each test file on one of them.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
COVERAGE := --cov --cov-branch --cov-report=term:skip-covered

##@ Use it
.PHONY: run
run: $(VENV)/.run ## Install what is needed and watch the four demo stories
	$(BIN)/apex demo

##@ Work on it
.PHONY: test test-all chaos check format lint types imports spelling audit docs docs-check bench synth lock clean help
test: $(VENV)/.dev ## Run the tests (10 minutes at most on 2 cores) with branch coverage
	$(PYTEST) -m "not slow" $(COVERAGE)

test-all: $(VENV)/.dev ## Run every test, the slow ones too
	$(PYTEST) $(COVERAGE)

chaos: $(VENV)/.dev ## Run the fault simulator: 10,000 programs, then every single and double fault (hours)
	$(BIN)/apex chaos --programs 10000 --seed 1
	$(BIN)/apex chaos --exhaustive 1

check: lint types imports spelling docs-check audit ## Everything that is checked without running the tests

format: $(VENV)/.dev ## Format the code and mend what can be mended by a tool
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: $(VENV)/.dev ## Formatting, lint and the security lint
	$(BIN)/ruff format --check --output-format concise .
	$(BIN)/ruff check --output-format concise .
	$(BIN)/bandit --quiet --severity-level medium --recursive --configfile pyproject.toml layers infra functions

types: $(VENV)/.dev ## Static types, strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## The import direction inside apex and around it
	$(BIN)/lint-imports

spelling: $(VENV)/.dev ## Spelling of the documentation
	$(BIN)/codespell README.md CHANGELOG.md docs statemachines

audit: $(VENV)/.dev ## Known vulnerabilities in what is installed
	$(BIN)/python -m infra.audit

docs: $(VENV)/.dev ## Write the generated parts of docs/ again
	$(BIN)/python -m infra.docs

docs-check: $(VENV)/.dev ## Fail when a generated part of docs/ is out of date
	$(BIN)/python -m infra.docs --check

bench: $(VENV)/.dev ## Measure sagas on the local cloud
	$(BIN)/python -m benchmarks

synth: $(VENV)/.run ## Synthesise the CDK app and print where the result lies
	$(BIN)/python -c "from infra.local.synth import synthesise; print(synthesise())"

lock: $(UV) ## Pin the dependencies of pyproject.toml again, with hashes (UPGRADE=1 takes newer versions)
	$(COMPILE) --group dev --extra local pyproject.toml -o requirements/dev.lock
	$(COMPILE) --extra local pyproject.toml -c requirements/dev.lock -o requirements/run.lock
	$(COMPILE) pyproject.toml -c requirements/dev.lock -o requirements/layer.lock
	$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.lock

clean: ## Remove everything that was built or installed
	rm -rf $(VENV) .build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What is installed is remembered in two stamps. The dev set holds all of the run set, so installing it satisfies both.

$(VENV)/.run: requirements/run.lock pyproject.toml | $(UV)
	@rm -f $(VENV)/.dev
	$(call install,run)
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(UV)
	$(call install,dev)
	@touch $@ $(VENV)/.run

$(UV): requirements/bootstrap.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=/path/to/python3." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

# `sync` leaves exactly the pinned set behind; the project itself is linked in, with nothing resolved for it.
define install
	@echo "Installing the pinned packages of requirements/$(1).lock into $(VENV); the first time takes a minute or two."
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/$(1).lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
endef
