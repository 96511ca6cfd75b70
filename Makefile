# Every target sets up what it needs on a fresh machine and is quick the second time.
# Needs only Python 3.11 or newer, pip, make and git.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV ?= .venv-vllm
VLLM_TESTS := tests/inference/vllm/test_vllm_engine.py tests/inference/openai/test_openai_vllm.py tests/iterit/scoring/test_complexity_vllm.py tests/iterit/selection/test_embeddings_vllm.py tests/iterit/training/test_vllm_rounds.py
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed

.PHONY: install demo test test-slow test-vllm lint format types docs-check docs-write clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints-cpu.txt requirements-demo.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints-cpu.txt --editable ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-demo.txt
	touch $(STAMP)

demo: install
	$(BIN)/debias demo --out demo-output

# Two processes at once; threads that wait do not spin, so that they leave the other one its core.
test: install
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=90

test-slow: install
	$(BIN)/python -m pytest -m slow

# A real vLLM on a CPU, in an environment of its own: a few minutes, most of them starting it.
test-vllm: $(VLLM_STAMP)
	$(VLLM_BIN)/python -m pytest -m vllm -W ignore::ResourceWarning $(VLLM_TESTS)

$(VLLM_STAMP): requirements-vllm.txt requirements-demo.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-vllm.txt
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-demo.txt
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(VLLM_STAMP)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install
	$(BIN)/mypy

docs-check: install
	$(BIN)/python -m pytest tests/test_docs.py --no-cov

docs-write: install
	$(BIN)/python tests/test_docs.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
