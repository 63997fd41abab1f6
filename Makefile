# The environment is made once, from the lock, and made again when the lock or pyproject.toml changes.
# PYTHON=… chooses the interpreter (3.10 or newer) that it is made with.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: moons reproduce test check format docs lock bench clean help

help: ## list what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/' | sort

moons: $(VENV)/.run ## the published experiment, stopped by patience 200
	$(BIN)/stopcli moons --patience 200

# SCALE=overnight is as large as fits into 8 hours here; SCALE=full the published settings (hours, on a GPU). DATASET=… names the images, as STOPCLI_DATASET does.
reproduce: $(VENV)/.run ## the published results, repeated: REPRODUCTION.md and .html
	$(BIN)/stopcli reproduce experiments $(if $(SCALE),--scale '$(SCALE)') $(if $(DATASET),--dataset '$(DATASET)')

test: $(VENV)/.dev check ## all checks and tests
	$(BIN)/python -m pytest --numprocesses 2

check: $(VENV)/.dev ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.run ## write the help of every command into docs/commands.md again
	$(BIN)/python docs/write_commands.py

bench: $(VENV)/.run ## measure what docs/performance.md says about speed
	$(BIN)/python benchmarks/moons_epoch.py
	$(BIN)/python benchmarks/own_models.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/saving.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/recorder.py
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/sweep_throughput.py
	$(BIN)/python benchmarks/resnet_step.py

# Names, versions and hashes for every platform and Python that stopcli runs on; no index address.
lock: $(VENV)/.dev ## choose the versions of everything again
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --upgrade \
	  --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header --upgrade \
	  --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove the environment and the tools' caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "stopcli needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Editable, so that the checkout is what runs; built with the lock's own setuptools (TensorFlow needs it), so that nothing
# beside the lock is fetched; without dependencies, because the lock has brought them.
$(VENV)/.run: $(VENV)/.python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@
