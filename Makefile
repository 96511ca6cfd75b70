# Every target sets up what it needs on a fresh machine and is quick the second time.
# Needs only Python 3.11 or newer, pip, make and git.
#
# DEPENDENCIES=pinned (the versions that the tests last ran with), lowest (the lower bounds of
# pyproject.toml) or newest (beyond its upper bounds, too); each has an environment of its own.
PYTHON ?= python3
DEPENDENCIES ?= pinned
VENV_pinned := .venv
VENV_lowest := .venv-lowest
VENV_newest := .venv-newest
CONSTRAINTS_pinned := --constraint constraints-cpu.txt
CONSTRAINTS_lowest := --constraint constraints-lowest.txt
CONSTRAINTS_newest := --upgrade --upgrade-strategy eager
VENV ?= $(VENV_$(DEPENDENCIES))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check
VLLM_VENV ?= .venv-vllm
VLLM_TESTS := tests/inference/vllm/test_vllm_engine.py tests/inference/openai/test_openai_vllm.py tests/iterit/scoring/test_complexity_vllm.py tests/iterit/selection/test_embeddings_vllm.py tests/iterit/training/test_vllm_rounds.py tests/iterit/training/pruned/test_recovered_vllm.py tests/serving/vllm/test_vllm_serving.py
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed
HARNESS_VENV ?= .venv-harness
HARNESS_BIN := $(HARNESS_VENV)/bin
HARNESS_STAMP := $(HARNESS_VENV)/.installed
RAY_VENV ?= .venv-ray
RAY_TESTS := tests/inference/collection/test_ray.py

# Compiled kernels are shared by test processes, by runs and by the commands that tests start. A
# kernel keeps the code of the kernels it calls, so a change to any of them empties the cache.
export NUMBA_CACHE_DIR = $(CURDIR)/.numba-cache/$(DEPENDENCIES)
KERNELS := $(shell grep -rl --include='*.py' 'import compiled' debias iterit) debias/compilation.py
NUMBA_STAMP := .numba-cache/$(DEPENDENCIES)/.stamp

.PHONY: install demo test coverage test-slow test-packaging test-vllm test-harness test-ray drill fuzz lint format types docs docs-check docs-write experiments test-browser audit check clean

ifeq ($(VENV),)
$(error DEPENDENCIES must be pinned, lowest or newest, got $(DEPENDENCIES))
endif

install: $(STAMP)

$(STAMP): pyproject.toml constraints-cpu.txt constraints-lowest.txt requirements-demo.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP_INSTALL) $(CONSTRAINTS_$(DEPENDENCIES)) --editable ".[dev]"
	$(BIN)/$(PIP_INSTALL) --no-deps --requirement requirements-demo.txt
	$(if $(filter newest,$(DEPENDENCIES)),$(BIN)/$(PIP_INSTALL) --upgrade torch transformers)
	touch $(STAMP)

$(NUMBA_STAMP): $(KERNELS)
	rm -rf $(@D)
	mkdir -p $(@D)
	touch $@

demo: install $(NUMBA_STAMP)
	$(BIN)/debias demo --out demo-output

# Two processes at once, each of which computes on one thread: more of them would wait for each other.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
test: install $(NUMBA_STAMP)
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

# Which lines no test runs. Tracing makes the tests take about twice as long.
coverage: install $(NUMBA_STAMP)
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=90

test-slow: install $(NUMBA_STAMP)
	$(BIN)/python -m pytest -m slow

# The wheel in an empty environment of a Python: `make test-packaging PYTHON=python3.13`. A few minutes.
test-packaging:
	.ci/packaging $(PYTHON)

# Commands are killed, stopped and starved of disk in every way: about half an hour, and the rights of root
# for small disks. `make drill OPTIONS=--quick` takes a minute.
drill: install $(NUMBA_STAMP)
	$(TEST_ENVIRONMENT) $(BIN)/python experiments/drill.py $(OPTIONS)

# Damaged files of every format, for each reader: about half an hour; `OPTIONS=--files 2000` for less.
fuzz: install $(NUMBA_STAMP)
	$(TEST_ENVIRONMENT) $(BIN)/python experiments/fuzz_readers.py $(OPTIONS)

# A real vLLM on a CPU, in an environment of its own: a few minutes, most of them starting it.
test-vllm: NUMBA_CACHE_DIR = $(CURDIR)/.numba-cache/vllm
test-vllm: $(VLLM_STAMP)
	$(VLLM_BIN)/python -m pytest -m vllm -W ignore::ResourceWarning $(VLLM_TESTS)

$(VLLM_STAMP): requirements-vllm.txt requirements-demo.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/$(PIP_INSTALL) --requirement requirements-vllm.txt
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/$(PIP_INSTALL) --no-deps --requirement requirements-demo.txt
	$(VLLM_BIN)/$(PIP_INSTALL) --no-deps --editable .
	touch $(VLLM_STAMP)

# Real evaluation harnesses, in an environment of their own: a minute or two.
test-harness: NUMBA_CACHE_DIR = $(CURDIR)/.numba-cache/harness
test-harness: $(HARNESS_STAMP)
	$(TEST_ENVIRONMENT) $(HARNESS_BIN)/python -m pytest -m harness -W ignore::ResourceWarning tests/serving/harnesses

$(HARNESS_STAMP): pyproject.toml constraints-cpu.txt requirements-harness.txt
	$(PYTHON) -m venv $(HARNESS_VENV)
	$(HARNESS_BIN)/$(PIP_INSTALL) $(CONSTRAINTS_pinned) --editable ".[test]" --requirement requirements-harness.txt
	touch $(HARNESS_STAMP)

# A real Ray cluster of several node processes on this machine, in an environment of its own.
test-ray: NUMBA_CACHE_DIR = $(CURDIR)/.numba-cache/ray
test-ray: $(RAY_VENV)/.installed
	$(TEST_ENVIRONMENT) $(RAY_VENV)/bin/python -m pytest -m ray $(RAY_TESTS)

$(RAY_VENV)/.installed: requirements-ray.txt requirements-demo.txt
	$(PYTHON) -m venv $(RAY_VENV)
	$(RAY_VENV)/bin/$(PIP_INSTALL) --constraint constraints-cpu.txt --requirement requirements-ray.txt --editable ".[test]"
	$(RAY_VENV)/bin/$(PIP_INSTALL) --no-deps --requirement requirements-demo.txt
	touch $@

# Reruns the papers' claims, from collecting tables with the demo model on: hours, and resumed where they stopped.
# DATA is a folder with rte, ddi, pubmedqa and probabilities; without it, TREC, SST-5 and AG News of a wheel.
TABLES ?= claims-tables
DATA ?= $(wildcard ../shared/data)
PROBABILITIES := $(if $(DATA),$(wildcard $(DATA)/probabilities))
CLAIMS_OF_A_MODEL := main_table letters transfer
CLAIMS_OF_TABLES := weak_and_strong ten_labels beyond_bias mix_shift
SEARCHES := proved_optima search_quality descent_reach compare_tables wide_proof
EXPERIMENT := PYTHONPATH=$(CURDIR):$(CURDIR)/experiments $(BIN)/python experiments
experiments: install $(NUMBA_STAMP)
	set -e; for claim in $(CLAIMS_OF_A_MODEL); do \
	    $(EXPERIMENT)/$$claim.py $(TABLES) $(if $(DATA),--data $(DATA)); done
	set -e; for claim in $(CLAIMS_OF_TABLES); do \
	    $(EXPERIMENT)/$$claim.py $(or $(PROBABILITIES),$(TABLES)); done
	$(if $(PROBABILITIES),set -e; for claim in $(SEARCHES); do \
	    $(EXPERIMENT)/$$claim.py $(PROBABILITIES); done)
	$(EXPERIMENT)/many_classes.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install
	$(BIN)/mypy

# The documentation site, in site/: open site/index.html, no server is needed.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-check: install
	$(BIN)/python -m pytest tests/test_docs.py tests/pages

# Reports and the site in Chromium (of a wheel), at three widths, light and dark: a few minutes.
test-browser: $(VENV)/.browser
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -m browser tests

$(VENV)/.browser: $(STAMP)
	$(BIN)/$(PIP_INSTALL) $(CONSTRAINTS_$(DEPENDENCIES)) --editable ".[browser]"
	touch $@

docs-write: install
	$(BIN)/python -m tests.test_docs
	$(BIN)/python -m tests.pages.test_notebooks

# Known vulnerabilities of what is installed, asked of the database of the Python Packaging Authority: needs the internet.
audit: install
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/$(PIP_INSTALL) pip-audit
	.venv-audit/bin/pip-audit --progress-spinner off --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# What continuous integration runs.
check: lint types test

clean:
	rm -rf .venv .venv-audit .venv-lowest .venv-newest $(VLLM_VENV) $(HARNESS_VENV) $(RAY_VENV) .numba-cache build dist demo-output site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
