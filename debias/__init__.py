"""Even out the class accuracies of a prompted language model, after the fact.

Public names are imported when they are first used, so that ``import debias`` is quick and
loads no model library.
"""

import importlib
from typing import TYPE_CHECKING, Any

from debias.version import __version__ as __version__

if TYPE_CHECKING:
    from debias.constrained import Constrained
    from debias.corrections import Correction, Function, Triangle, Weight
    from debias.ensemble_cv import EnsembleDebiaserCV
    from debias.errors import DebiasError
    from debias.estimators import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser, load
    from debias.families import Family, ensemble, gaussians, memberships, sigmoids, trapezoids, weights
    from debias.inference.collect import collect
    from debias.inference.collect_stream import collect_stream
    from debias.inference.engine import Engine
    from debias.inference.openai import OpenAIEngine
    from debias.inference.pipeline import LabelProbabilities
    from debias.inference.tasks import Task, load_task
    from debias.inference.transformers import TransformersEngine
    from debias.inference.vllm import VLLMEngine
    from debias.log_bias import LogBiasDebiaser
    from debias.many_runs import collect_many
    from debias.objective import Objective
    from debias.reports.summary import Report
    from debias.search.certificate import Certificate
    from debias.search.milp import IntegerProgram
    from debias.shapes import Gaussian, Scaled, Sigmoid, Trapezoid
    from debias.tables import ProbabilityTable, check_disjoint, remove_overlap

_HOME = {
    "Certificate": "debias.search.certificate",
    "Constrained": "debias.constrained",
    "Correction": "debias.corrections",
    "DebiasError": "debias.errors",
    "Engine": "debias.inference.engine",
    "EnsembleDebiaser": "debias.estimators",
    "EnsembleDebiaserCV": "debias.ensemble_cv",
    "Family": "debias.families",
    "Function": "debias.corrections",
    "FuzzyDebiaser": "debias.estimators",
    "Gaussian": "debias.shapes",
    "IntegerProgram": "debias.search.milp",
    "LabelProbabilities": "debias.inference.pipeline",
    "LogBiasDebiaser": "debias.log_bias",
    "Objective": "debias.objective",
    "OpenAIEngine": "debias.inference.openai",
    "ProbabilityTable": "debias.tables",
    "Report": "debias.reports.summary",
    "Scaled": "debias.shapes",
    "Sigmoid": "debias.shapes",
    "Task": "debias.inference.tasks",
    "TransformersEngine": "debias.inference.transformers",
    "Trapezoid": "debias.shapes",
    "Triangle": "debias.corrections",
    "VLLMEngine": "debias.inference.vllm",
    "Weight": "debias.corrections",
    "WeightDebiaser": "debias.estimators",
    "check_disjoint": "debias.tables",
    "collect": "debias.inference.collect",
    "collect_many": "debias.many_runs",
    "collect_stream": "debias.inference.collect_stream",
    "ensemble": "debias.families",
    "gaussians": "debias.families",
    "load": "debias.estimators",
    "load_task": "debias.inference.tasks",
    "memberships": "debias.families",
    "remove_overlap": "debias.tables",
    "sigmoids": "debias.families",
    "trapezoids": "debias.families",
    "weights": "debias.families",
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
