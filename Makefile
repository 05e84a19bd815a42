# Needs: Linux, Python >= 3.11 with venv, make. Everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO ?= scripts/demo
# of Nova on the real stack: newest or zed
RELEASE ?= newest
# what the kill matrix has said, for the last line of the soak
KILLS_TOLD := .venv/kills
# how the demo with a lying BMC must end: exit code 5 and this code in its last screen
LIAR_ENDS_WITH ?= SIGN_OF_LIFE

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-liar test soak system-up system-down system-test system-test-full system-bench check bench clean

help:  ## Show the targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY)  ## Set up .venv, once for each change of pyproject.toml

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hacli needs Python 3.11 or newer; make PYTHON=... chooses one")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY)  ## A host dies in the lab; hacli brings its servers back
	$(DEMO)

demo-liar: $(READY)  ## The same with a BMC that lies: passes only if hacli refuses
	@status=0; $(DEMO) --liar >.venv/demo-liar.log 2>&1 || status=$$?; \
	cat .venv/demo-liar.log; \
	if [ $$status -eq 5 ] && grep -q -e '$(LIAR_ENDS_WITH)' .venv/demo-liar.log; \
	then echo "demo-liar: refused, as it must be (exit 5)"; \
	else echo "demo-liar: ended with exit $$status; 5 and $(LIAR_ENDS_WITH) were expected" >&2; exit 1; fi

test: $(READY)  ## All tests that need neither root nor a cloud
	$(BIN)/pytest -n 2 $(ARGS)

soak: $(READY)  ## A kill at every point, random operators, a day of faults: counts; SOAK='--seed 7'
	$(BIN)/python -m tests.kill $(KILLS) >$(KILLS_TOLD)
	$(BIN)/python -m tests.soak --kills $(KILLS_TOLD) $(SOAK)

system-up: $(READY)  ## Start the real stack (root, Debian 12); ARGS='--hosts 6 --release zed'
	$(BIN)/python -m tests.system.stack up $(ARGS)

system-down: $(READY)  ## Stop it; nothing is left of it but its cache
	$(BIN)/python -m tests.system.stack down $(ARGS)

system-test: $(READY)  ## The contract and some outages on the real stack (root, Debian 12)
	RELEASE=$(RELEASE) $(BIN)/pytest tests/contract tests/system/scenarios --site all -m 'not full' $(ARGS)

system-test-full: $(READY)  ## All of it, for hours; RELEASE=zed takes that Nova
	RELEASE=$(RELEASE) $(BIN)/pytest tests/contract tests/system --site all $(ARGS)

system-bench: $(READY)  ## An evacuation on the real stack beside a bare script
	$(BIN)/python -m tests.system.evacuation_bench $(ARGS)

check: $(READY)  ## Lint, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(READY)  ## Times beside peers, as a Markdown table
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## Remove everything that make has made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.* build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
