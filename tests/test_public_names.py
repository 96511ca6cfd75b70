"""Public names: quick to import, each with an example, none missing from its list."""

import doctest
import importlib
import subprocess
import sys

import pytest

import debias
import iterit

MODEL_LIBRARIES = {"torch", "transformers", "vllm", "matplotlib", "pyomo"}


def modules_after(statement: str) -> set[str]:
    """Return what a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_no_large_library():
    large = MODEL_LIBRARIES | {"sklearn", "pandas", "numba", "skfuzzy", "scipy"}
    assert not large & modules_after("import debias, iterit")


def test_the_estimators_load_no_model_library():
    loaded = modules_after("from debias import EnsembleDebiaser, ProbabilityTable, load")
    assert not MODEL_LIBRARIES & loaded


def test_the_command_lines_load_no_model_library():
    for statement in ("import debias.cli", "import iterit.cli"):
        assert not (MODEL_LIBRARIES | {"sklearn"}) & modules_after(statement)


PACKAGES = ("debias", "debias.corrections", "debias.metrics", "debias.search", "debias.tables", "iterit")
PUBLIC = [(package, name) for package in PACKAGES for name in importlib.import_module(package).__all__]


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_every_public_name_has_an_example_that_runs(package, name):
    """The examples themselves run as doctests; here each name must have one that is not skipped."""
    module = importlib.import_module(package)
    thing = getattr(module, name)
    assert name in dir(module)
    examples = doctest.DocTestParser().get_examples(thing.__doc__ or "")
    assert [one for one in examples if doctest.SKIP not in one.options]


def test_the_front_door_is_small():
    assert len(debias.__all__) == 27


def test_an_unknown_name_is_an_attribute_error_that_says_it():
    for module in (debias, iterit):
        with pytest.raises(AttributeError) as caught:
            module.picks  # noqa: B018
        assert "picks" in str(caught.value) and module.__name__ in str(caught.value)
