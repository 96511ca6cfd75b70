"""Even out the class accuracies of a prompted language model, after the fact.

Public names are imported when they are first used, so that ``import debias`` is quick and
loads no model library. More of them are in ``debias.corrections``, ``debias.metrics``,
``debias.search`` and ``debias.tables``.
"""

from typing import TYPE_CHECKING

from debias.version import __version__ as __version__

if TYPE_CHECKING:
    from debias.corrections.families import Family as Family
    from debias.errors import DebiasError as DebiasError
    from debias.estimators.calibrated import CalibratedDebiaser as CalibratedDebiaser
    from debias.estimators.debiasers import EnsembleDebiaser as EnsembleDebiaser
    from debias.estimators.debiasers import FuzzyDebiaser as FuzzyDebiaser
    from debias.estimators.debiasers import WeightDebiaser as WeightDebiaser
    from debias.estimators.log_bias import LogBiasDebiaser as LogBiasDebiaser
    from debias.estimators.tuning.debiaser import Debiaser as Debiaser
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV as EnsembleDebiaserCV
    from debias.estimators.tuning.methods import load as load
    from debias.guarantees.certification import certify as certify
    from debias.guarantees.watching.watcher import watch as watch
    from debias.inference.collection.collection import collect as collect
    from debias.inference.collection.collection import collect_stream as collect_stream
    from debias.inference.collection.grid import collect_many as collect_many
    from debias.inference.collection.shards.merging import merge as merge
    from debias.inference.engine import Engine as Engine
    from debias.inference.openai.openai_engine import OpenAIEngine as OpenAIEngine
    from debias.inference.pipeline import LabelProbabilities as LabelProbabilities
    from debias.inference.texts.tasks import Task as Task
    from debias.inference.texts.tasks import load_task as load_task
    from debias.inference.transformers.transformers_engine import TransformersEngine as TransformersEngine
    from debias.inference.vllm.vllm_engine import VLLMEngine as VLLMEngine
    from debias.reports.correction_report import Report as Report
    from debias.search.constraints import Constrained as Constrained
    from debias.search.objective import Objective as Objective
    from debias.tables.table import ProbabilityTable as ProbabilityTable

_HOMES = {
    "corrections.families": ("Family",),
    "errors": ("DebiasError",),
    "estimators.debiasers": ("EnsembleDebiaser", "FuzzyDebiaser", "WeightDebiaser"),
    "estimators.calibrated": ("CalibratedDebiaser",),
    "estimators.log_bias": ("LogBiasDebiaser",),
    "estimators.tuning.debiaser": ("Debiaser",),
    "estimators.tuning.ensemble_cv": ("EnsembleDebiaserCV",),
    "estimators.tuning.methods": ("load",),
    "guarantees.certification": ("certify",),
    "guarantees.watching.watcher": ("watch",),
    "inference.collection.collection": ("collect", "collect_stream"),
    "inference.collection.grid": ("collect_many",),
    "inference.collection.shards.merging": ("merge",),
    "inference.engine": ("Engine",),
    "inference.openai.openai_engine": ("OpenAIEngine",),
    "inference.pipeline": ("LabelProbabilities",),
    "inference.texts.tasks": ("Task", "load_task"),
    "inference.transformers.transformers_engine": ("TransformersEngine",),
    "inference.vllm.vllm_engine": ("VLLMEngine",),
    "reports.correction_report": ("Report",),
    "search.constraints": ("Constrained",),
    "search.objective": ("Objective",),
    "tables.table": ("ProbabilityTable",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Import a public name from its home (PEP 562; lazy_loader, but `debias.serving` needs NumPy alone)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'debias' has no attribute {name!r}", name=name)
    from importlib import import_module

    return getattr(import_module(f"debias.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
