# The commands a developer types; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# The interpreter that .venv is made with: the first that is new enough, else whichever there is.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && exit; \
	done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export JACKFIELD_MODELS ?= $(CURDIR)/.models
# Compiled modules are kept: each of the tests' processes would compile the rewritten tests anew.
unexport PYTHONDONTWRITEBYTECODE

# Files that are there once an installation is complete. Their names change with what it was made from.
KEY_OF = $(shell cat pyproject.toml Makefile $(1) | cksum | cut -d ' ' -f 1)
RUN_STAMP := $(VENV)/installed-run-$(call KEY_OF,requirements/run.txt)
TEST_STAMP := $(VENV)/installed-test-$(call KEY_OF,requirements/test.txt requirements/compiled.txt)
# Compiled are the modules that are imported, when they are: most never are.
INSTALL := $(PIP) install --no-compile --no-deps --require-hashes --requirement
INSTALL_SELF := $(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .

PREFLIGHT = command -v $(PYTHON) >/dev/null || { \
	echo "preflight: There is no $(PYTHON). Install Python 3.11 or newer, or name one: make run PYTHON=python3.11" >&2; \
	exit 2; }; $(PYTHON) requirements/preflight.py --installed $(RUN_STAMP)

.PHONY: help
help: ## List the commands.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: run
run: ## Install what is missing and start the offline voice server. PORT=9000 chooses the port.
	@$(PREFLIGHT) --models "$(JACKFIELD_MODELS)" --port "$${PORT:-$${SERVER_PORT:-8000}}"
	@$(MAKE) --silent $(RUN_STAMP)
	@$(BIN)/jackfield models fetch
	@$(BIN)/jackfield serve || [ $$? = 130 ] # stopped by Ctrl-C

.PHONY: setup
setup: ## Install into .venv what `make run` needs, without models.
	@$(PREFLIGHT)
	@$(MAKE) --silent $(RUN_STAMP)

# More than there are processors, for tests also wait: for servers to start, and for clocks.
WORKERS = $(shell $(BIN)/python -c 'import os; print(min(4, 2 * (os.cpu_count() or 1)))')
.PHONY: test
test: $(TEST_STAMP) ## Install what the tests need and run them. ARGS='-n 0 -k name' goes to pytest.
	@$(BIN)/jackfield models fetch
	@$(BIN)/jackfield models fetch --config examples/pichat-offline.toml
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

.PHONY: lint
lint: $(TEST_STAMP) ## Check style, types and the borders between the rooms.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile

.PHONY: audit
audit: $(TEST_STAMP) ## Ask the package index for known vulnerabilities of what the requirement files pin.
	@$(BIN)/python requirements/audit.py $(ARGS)

.PHONY: contracts
contracts: $(TEST_STAMP) ## Print each requirement of the contracts with the tests that name it.
	@$(BIN)/jackfield models fetch
	@$(BIN)/python tests/contracts/report.py

.PHONY: bench
bench: $(TEST_STAMP) ## Measure the text path beside a hand-written endpoint.
	@$(BIN)/python -m bench.text_path

.PHONY: soak
soak: $(TEST_STAMP) ## Hold calls and sockets for ten minutes, and let everything go wrong. ARGS='--minutes 1'
	@$(BIN)/jackfield models fetch
	@$(BIN)/python -m soak $(ARGS)

# One file a purpose: every file's hash, whatever the platform, and no address. The last two lines write
# what follows from them.
COMPILE = uv pip compile $(UPGRADE) --quiet --universal --generate-hashes --fork-strategy fewest --no-annotate \
	--python-version 3.11 --custom-compile-command 'make requirements'
# The extras beside `local` whose plugins the tests run.
TESTED := openai azure-speech sphinx pyttsx3 redis postgresql azure-sql encryption accounts wallet http-verify proxy mcp object-store opentelemetry twilio
# The extras of the container image: all that needs neither models on the machine nor drivers of its system.
IMAGE := audio openai azure-speech redis postgresql encryption accounts wallet http-verify proxy mcp object-store opentelemetry twilio webrtc
.PHONY: requirements
requirements: ## Compile the requirement files from pyproject.toml. Needs uv.
	$(COMPILE) pyproject.toml --extra local --extra llama-cpp $(addprefix --extra ,$(TESTED)) --group test \
		--no-emit-package llama-cpp-python --output-file requirements/test.txt
	$(COMPILE) pyproject.toml --extra local --group setup \
		--constraint requirements/test.txt --output-file requirements/run.txt
	$(COMPILE) pyproject.toml $(addprefix --extra ,$(IMAGE)) \
		--constraint requirements/test.txt --output-file requirements/image.txt
	$(COMPILE) --group setup \
		--constraint requirements/test.txt --output-file requirements/build.txt
	$(COMPILE) --group compiled --no-deps --output-file requirements/compiled.txt

# What git shows of it are the pins; the hashes of each follow it.
.PHONY: upgrade
upgrade: ## Raise the pins to the newest versions and show the change. PACKAGES='a b' raises those alone.
	@$(MAKE) requirements UPGRADE="$(if $(PACKAGES),$(addprefix --upgrade-package ,$(PACKAGES)),--upgrade)"
	@git --no-pager diff --unified=0 -- requirements | grep -E '^([+-]{3} [ab/]|[+-][a-zA-Z0-9])' || echo "Nothing is newer."

.PHONY: reference
reference: $(TEST_STAMP) ## Write docs/configuration.md and THIRD_PARTY.md anew.
	$(BIN)/jackfield config --reference > docs/configuration.md
	$(BIN)/python requirements/third_party.py > THIRD_PARTY.md

.PHONY: clean
clean: ## Delete what was installed and cached; models stay.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/activate:
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): | $(BIN)/activate
	@rm -f $(VENV)/installed-run-*
	$(INSTALL) requirements/run.txt
	@$(INSTALL_SELF)
	@touch $@

# The tests' one part without a wheel is built with pinned tools, and lean: neither its own pictures and
# sounds nor instructions that only the building machine's processor knows.
$(TEST_STAMP): | $(BIN)/activate
	@rm -f $(VENV)/installed-*
	$(INSTALL) requirements/test.txt
	PATH="$(CURDIR)/$(BIN):$$PATH" CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DLLAMA_OPENSSL=OFF" \
		$(INSTALL) requirements/compiled.txt --no-build-isolation
	@$(INSTALL_SELF)
	@touch $@ $(RUN_STAMP)
