"""The house: imports go down, never up, and never in a circle; each file says what it is."""

import ast
from pathlib import Path

import networkx as nx
import pytest

from tests.support.paths import ROOT

FILES = sorted([*(ROOT / "debias").rglob("*.py"), *(ROOT / "iterit").rglob("*.py")])

# The floor of a file is that of the longest prefix here; files of one floor may import each other.
FLOORS = {
    "debias.errors": 0,
    "debias.compilation": 0,
    "debias.console": 0,
    "debias.pages": 0,
    "debias.version": 0,
    "debias.atomic_file": 0,
    "debias": 1,
    "debias.search": 2,
    "debias.inference": 2,
    "debias.corrections.explanations": 3,
    "debias.estimators.summary": 3,
    "debias.estimators.correction_file": 3,
    "debias.estimators.column_classifier": 3,
    "debias.estimators.debiaser": 3,
    "debias.estimators.log_bias": 3,
    "debias.estimators.debiasers": 3,
    "debias.estimators.few_labels.generalization": 3,
    "debias.estimators.few_labels.expecting": 3,
    "debias.estimators.few_labels.shrinkage": 3,
    "debias.estimators.baselines.baseline": 3,
    "debias.estimators.tuning.folds": 3,
    "debias.estimators.tuning.cross_validation": 3,
    "debias.estimators.tuning.ensemble_cv": 3,
    "debias.estimators.baselines.calibration": 3,
    "debias.estimators.frontier_table": 3,
    "debias.estimators.prediction": 3,
    "debias.inference.texts.prompted_rows": 3,
    "debias.inference.collection.grid": 3,
    "debias.reports": 4,
    "debias.cli": 5,
    "debias.demo": 5,
    "iterit.threads": 5,
    "iterit.ngrams.row_sums": 5,
    "iterit.selection.modes": 5,
    "iterit.records": 5,
    "iterit.ngrams": 5,
    "iterit.rounds": 5,
    "iterit.records.instruction_records": 6,
    "iterit.ngrams.ngram_counts": 6,
    "iterit.rounds.round": 6,
    "iterit.templates": 7,
    "iterit.ngrams.ngram_weights": 7,
    "iterit.templates.named_templates": 8,
    "iterit.scoring": 8,
    "iterit.selection": 8,
    "iterit.selection.near_duplicates": 8,
    "iterit.selection.embeddings": 8,
    "iterit.scoring.complexity": 9,
    "iterit.selection.selection": 9,
    "iterit.training": 10,
    "iterit.training.trainer_setup": 10,
    "iterit.training.trainer": 11,
    "iterit.reports": 11,
    "iterit.cli": 12,
    "iterit": 12,
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor_of(module: str) -> int:
    parts = module.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next(FLOORS[prefix] for prefix in prefixes if prefix in FLOORS)


def imports_of(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, anywhere in it, but for type checking."""
    ours = {module_of(file) for file in FILES}
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & ours) - {"debias", "iterit", module_of(path)}


GRAPH = nx.DiGraph((module_of(path), other) for path in FILES for other in imports_of(path))


def test_no_import_runs_upward():
    upward = [f"{a} imports {b}" for a, b in GRAPH.edges if floor_of(b) > floor_of(a)]
    assert not upward


def test_inference_and_search_do_not_know_each_other():
    for a, b in GRAPH.edges:
        assert not (a.startswith("debias.search") and b.startswith("debias.inference"))
        assert not (a.startswith("debias.inference") and b.startswith("debias.search"))


def test_iterit_imports_of_debias_the_engines_and_the_ground_floor_only():
    strangers = [
        (a, b)
        for a, b in GRAPH.edges
        if a.startswith("iterit")
        and b.startswith("debias")
        and not b.startswith("debias.inference")
        and floor_of(b) > 0
    ]
    assert not strangers


def test_rooms_of_iterit_do_not_know_what_stands_beside_them():
    """What is read, counted, planned and picked stays apart from models and trainers."""
    beside = {"reading", "counting", "planning", "picking"}
    for a, b in GRAPH.edges:
        room = a.split(".")[1] if a.startswith("iterit.") else ""
        if room in beside:
            assert not b.startswith(("debias.inference.", "iterit.scoring", "iterit.training")), f"{a} {b}"


def test_no_circles():
    assert list(nx.simple_cycles(GRAPH)) == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_file_opens_with_what_it_is_and_is_one_idea(path):
    text = path.read_text(encoding="utf-8")
    opening = ast.get_docstring(ast.parse(text))
    assert opening
    assert len(opening.splitlines()) <= 10
    assert text.count("\n") <= 400
