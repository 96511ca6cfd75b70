"""Even out the class accuracies of a prompted language model, after the fact.

Public names are imported when they are first used, so that ``import debias`` is quick and
loads no model library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from debias.version import __version__ as __version__

if TYPE_CHECKING:
    from debias.corrections.correction import Correction, Function, Triangle, Weight
    from debias.corrections.families import (
        Family,
        ensemble,
        gaussians,
        memberships,
        sigmoids,
        trapezoids,
        weights,
    )
    from debias.corrections.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
    from debias.errors import DebiasError
    from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser, load
    from debias.estimators.log_bias import LogBiasDebiaser
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
    from debias.inference.collection.collection import collect, collect_stream
    from debias.inference.collection.grid import collect_many
    from debias.inference.engine import Engine
    from debias.inference.openai.openai_engine import OpenAIEngine
    from debias.inference.pipeline import LabelProbabilities
    from debias.inference.texts.tasks import Task, load_task
    from debias.inference.transformers.transformers_engine import TransformersEngine
    from debias.inference.vllm.vllm_engine import VLLMEngine
    from debias.reports.correction_report import Report
    from debias.search.certificate import Certificate
    from debias.search.constraints import Constrained
    from debias.search.milp.integer_program import IntegerProgram
    from debias.search.objective import Objective
    from debias.tables.table import ProbabilityTable, check_disjoint, remove_overlap

_HOME = {
    "Certificate": "debias.search.certificate",
    "Constrained": "debias.search.constraints",
    "Correction": "debias.corrections.correction",
    "DebiasError": "debias.errors",
    "Engine": "debias.inference.engine",
    "EnsembleDebiaser": "debias.estimators.debiasers",
    "EnsembleDebiaserCV": "debias.estimators.tuning.ensemble_cv",
    "Family": "debias.corrections.families",
    "Function": "debias.corrections.correction",
    "FuzzyDebiaser": "debias.estimators.debiasers",
    "Gaussian": "debias.corrections.shapes",
    "IntegerProgram": "debias.search.milp.integer_program",
    "LabelProbabilities": "debias.inference.pipeline",
    "LogBiasDebiaser": "debias.estimators.log_bias",
    "Objective": "debias.search.objective",
    "OpenAIEngine": "debias.inference.openai.openai_engine",
    "ProbabilityTable": "debias.tables.table",
    "Report": "debias.reports.correction_report",
    "Scaled": "debias.corrections.shapes",
    "Sigmoid": "debias.corrections.shapes",
    "Task": "debias.inference.texts.tasks",
    "TransformersEngine": "debias.inference.transformers.transformers_engine",
    "Trapezoid": "debias.corrections.shapes",
    "Triangle": "debias.corrections.correction",
    "VLLMEngine": "debias.inference.vllm.vllm_engine",
    "Weight": "debias.corrections.correction",
    "WeightDebiaser": "debias.estimators.debiasers",
    "check_disjoint": "debias.tables.table",
    "collect": "debias.inference.collection.collection",
    "collect_many": "debias.inference.collection.grid",
    "collect_stream": "debias.inference.collection.collection",
    "ensemble": "debias.corrections.families",
    "gaussians": "debias.corrections.families",
    "load": "debias.estimators.debiasers",
    "load_task": "debias.inference.texts.tasks",
    "memberships": "debias.corrections.families",
    "remove_overlap": "debias.tables.table",
    "sigmoids": "debias.corrections.families",
    "trapezoids": "debias.corrections.families",
    "weights": "debias.corrections.families",
}

__all__ = [
    "Certificate",
    "Constrained",
    "Correction",
    "DebiasError",
    "Engine",
    "EnsembleDebiaser",
    "EnsembleDebiaserCV",
    "Family",
    "Function",
    "FuzzyDebiaser",
    "Gaussian",
    "IntegerProgram",
    "LabelProbabilities",
    "LogBiasDebiaser",
    "Objective",
    "OpenAIEngine",
    "ProbabilityTable",
    "Report",
    "Scaled",
    "Sigmoid",
    "Task",
    "TransformersEngine",
    "Trapezoid",
    "Triangle",
    "VLLMEngine",
    "Weight",
    "WeightDebiaser",
    "check_disjoint",
    "collect",
    "collect_many",
    "collect_stream",
    "ensemble",
    "gaussians",
    "load",
    "load_task",
    "memberships",
    "remove_overlap",
    "sigmoids",
    "trapezoids",
    "weights",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'debias' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
