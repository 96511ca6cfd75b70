"""The public names: quick to import, each documented with an example, none missing from its list."""

import importlib
import subprocess
import sys

import pytest

import debias
import iterit

PACKAGES = ["debias", "iterit", "debias.corrections", "debias.metrics", "debias.search", "debias.tables"]
"""Whoever imports a public name imports it from one of these."""


def modules_after(statement: str) -> set[str]:
    """Return what a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_no_large_library():
    large = {
        "torch",
        "transformers",
        "matplotlib",
        "vllm",
        "pyomo",
        "sklearn",
        "pandas",
        "numba",
        "skfuzzy",
        "scipy",
    }
    assert not large & modules_after("import debias, iterit")


def test_the_estimators_load_no_model_library():
    loaded = modules_after("from debias import EnsembleDebiaser, ProbabilityTable, load")
    assert not {"torch", "transformers", "matplotlib", "vllm", "pyomo"} & loaded


@pytest.mark.parametrize("program", ["debias", "iterit"])
def test_the_command_lines_load_no_model_library(program):
    loaded = modules_after(f"import {program}.cli")
    assert not {"torch", "transformers", "matplotlib", "vllm", "pyomo", "sklearn"} & loaded


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_listed_and_documented_with_an_example(name):
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    without = [each for each in package.__all__ if ">>>" not in (getattr(package, each).__doc__ or "")]
    assert not without


def test_the_front_door_lists_what_most_people_need():
    assert len(debias.__all__) <= 24


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="'Debiaser'.*EnsembleDebiaser"):
        debias.Debiaser  # noqa: B018
    with pytest.raises(AttributeError, match="'picks'.*select"):
        iterit.picks  # noqa: B018
