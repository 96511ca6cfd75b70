"""The experiments: each script can be imported, has its settings and says how it is run."""

import ast
import importlib.util

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "experiments"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.stem != "common")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_can_be_imported(path, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    for name, value in (("HF_HUB_OFFLINE", "1"), ("TOKENIZERS_PARALLELISM", "false")):
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location(f"experiment_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("lm_eval", "vllm", "ray"):
            raise
        pytest.skip(f"{error.name} is not installed")
    assert callable(module.main)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_it_is_run_and_imports_no_other(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert f"experiments/{path.name}" in ast.get_docstring(tree)
    others = {script.stem for script in SCRIPTS}
    assert not [
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in others
    ]


def test_settings_and_results_belong_to_scripts():
    stems = {path.stem for path in SCRIPTS}
    assert {path.stem for path in FOLDER.glob("*.toml")} <= stems
    for path in (FOLDER / "results").iterdir():
        assert any(path.stem.startswith(stem.removesuffix("_grid")) for stem in stems), path.name
