"""The table of methods that a comparison carries: each with its name, group, needs and how it is made."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from debias.errors import ParameterError, TableError, param
from debias.estimators import baselines
from debias.estimators.calibrated import CalibratedDebiaser
from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.estimators.log_bias import LogBiasDebiaser
from debias.estimators.tuning.debiaser import Debiaser
from debias.search.constraints import Goal
from debias.settings import Settings, setting
from debias.tables.class_columns import FloatArray
from debias.tables.table import ProbabilityTable

OURS = ("auto", "calibrated", "ensemble (DCS)")
"""What is recommended, the first that is there: other methods are compared with it by default."""


class AskedModel(Protocol):
    """The model that a table was collected from: `debias.inference.prompted_model.PromptedModel`."""

    @property
    def engine(self) -> Any:
        """What embeds texts."""

    def answers(self, texts: Iterable[str]) -> pd.DataFrame:
        """Return class probabilities of texts after the same prompt."""


@dataclass(frozen=True)
class MethodSettings(Settings):
    """What the methods of a comparison have in common.

    Parameters
    ----------
    objective : Objective or Constrained, optional
        What the corrections minimise, and what z is.
    n_weights, n_starts, n_jobs, seed
        As in :class:`debias.estimators.debiasers.EnsembleDebiaser`.
    metric : str
        What the coordinate-wise class weights maximise.
    model : AskedModel, optional
        For the methods that ask the model more.
    """

    objective: Goal | None = None
    n_weights: int = 30
    n_starts: int = 32
    n_jobs: int | None = None
    seed: int = 0
    metric: str = setting(
        "balanced-accuracy",
        "Metric that the coordinate-wise class weights maximise.",
        one_of=("balanced-accuracy", "accuracy", "macro-f1"),
    )
    model: AskedModel | None = None

    def known_model(self) -> AskedModel:
        """Return the model, or say that it is missing.

        Raises
        ------
        ParameterError
            There is none.
        """
        if self.model is None:
            raise ParameterError("it needs the model, and none was given", parameter="model", received=None)
        return self.model


def _probabilities(table: ProbabilityTable, classes: Sequence[str], settings: MethodSettings) -> pd.DataFrame:
    return table.probabilities[list(classes)]


def _texts(table: ProbabilityTable, classes: Sequence[str], settings: MethodSettings) -> list[str]:
    if table.texts is None:
        raise TableError("it needs the texts, and the table has none", parameter="texts")
    return [str(text) for text in table.texts]


def _states(table: ProbabilityTable, classes: Sequence[str], settings: MethodSettings) -> FloatArray:
    return np.asarray(settings.known_model().engine.embed(_texts(table, classes, settings)), dtype=np.float64)


Reading = Callable[[ProbabilityTable, Sequence[str], MethodSettings], Any]


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes
    ----------
    key, name : str
        As it is chosen, and as it is shown.
    group : {"reference", "label-free", "plain", "published", "ours", "reader", "given"}
        References and plain learning that read nothing but the probabilities, the published search,
        the methods of this project, those that read more, and estimators of the caller.
    make : callable
        Returns the classifier, not fitted, from the settings and the opt table.
    needs : str
        What it needs beside probabilities and labels: nothing, texts, model (asked again) or weights.
    read : callable
        Returns what the classifier reads, from a table, the classes in their order and the settings.
    is_slow : bool
        Whether it is run only where it is asked for.
    """

    key: str
    name: str
    group: str
    make: Callable[[MethodSettings, ProbabilityTable], ClassifierMixin]
    needs: str = "nothing"
    read: Reading = _probabilities
    is_slow: bool = False

    def can_run(self, opt: ProbabilityTable, test: ProbabilityTable, settings: MethodSettings) -> bool:
        """Tell whether what it needs is there."""
        there = {"nothing"}
        if opt.texts is not None and test.texts is not None:
            there.add("texts")
        if settings.model is not None:
            there |= {"model", "weights"} if "texts" in there else {"model"}
        return set(self.needs.split(", ")) <= there


def _set(estimator: Any, settings: MethodSettings) -> Any:
    """Return an estimator with the settings that it knows."""
    values = {
        "objective": settings.objective,
        "n_weights": settings.n_weights,
        "n_starts": settings.n_starts,
        "n_jobs": settings.n_jobs,
        "random_state": settings.seed,
    }
    known = estimator.get_params(deep=False)
    return estimator.set_params(**{name: value for name, value in values.items() if name in known})


def _plain(key: str, name: str, make: Callable[[], Any], group: str = "plain") -> Method:
    """Return a method that has no settings but the seed."""
    return Method(key, name, group, lambda settings, opt: _set(make(), settings))


def _ours(key: str, name: str, make: Callable[[], Any], group: str = "ours", is_slow: bool = False) -> Method:
    """Return a method of this project, or a published search of it."""
    return Method(key, name, group, lambda settings, opt: _set(make(), settings), is_slow=is_slow)


def _contextual(settings: MethodSettings, opt: ProbabilityTable) -> ClassifierMixin:
    """Return the calibration by inputs without content."""
    model = settings.known_model()
    return baselines.ContextualCalibration(model.answers(baselines.CONTENT_FREE_INPUTS))


def _domain_context(settings: MethodSettings, opt: ProbabilityTable) -> ClassifierMixin:
    """Return the calibration by random words of the opt texts."""
    model, texts = settings.known_model(), _texts(opt, opt.classes, settings)
    return baselines.ContextualCalibration(
        model.answers(baselines.domain_context_inputs(texts, seed=settings.seed))
    )


def _of_texts(settings: MethodSettings, opt: ProbabilityTable) -> ClassifierMixin:
    """Return logistic regression on words and pairs of words (TF-IDF)."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=50_000)
    return make_pipeline(words, LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))


def _of_states(settings: MethodSettings, opt: ProbabilityTable) -> ClassifierMixin:
    """Return logistic regression on standardised hidden states: a linear probe."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))


def _class_weights(settings: MethodSettings, opt: ProbabilityTable) -> ClassifierMixin:
    return baselines.ClassWeights(metric=settings.metric.replace("-", "_"))


METHODS: tuple[Method, ...] = (
    _plain("uncorrected", "uncorrected", baselines.Uncorrected, "reference"),
    _plain("majority", "majority class", baselines.MajorityClass, "reference"),
    _plain("batch", "batch calibration", baselines.BatchCalibration, "label-free"),
    Method("contextual", "contextual calibration", "label-free", _contextual, "model"),
    Method("domain-context", "domain-context calibration", "label-free", _domain_context, "texts, model"),
    _plain("prior-uniform", "prior matching (uniform)", baselines.PriorMatching, "label-free"),
    _plain("prior-labels", "prior matching (opt mix)", lambda: baselines.PriorMatching(target="labels")),
    _plain("temperature", "temperature scaling", baselines.TemperatureScaling),
    _plain("vector", "vector scaling", baselines.VectorScaling),
    _plain(
        "vector-balanced",
        "vector scaling (balanced)",
        lambda: baselines.VectorScaling(class_weight="balanced"),
    ),
    _plain(
        "logistic", "logistic regression", lambda: baselines.LogisticRegressionBaseline(class_weight=None)
    ),
    _plain("logistic-balanced", "logistic regression (balanced)", baselines.LogisticRegressionBaseline),
    _plain("trees", "boosted trees (balanced)", baselines.BoostedTrees),
    _plain("confusion", "confusion balancing", baselines.ConfusionBalancing),
    _plain(
        "confusion-counts",
        "confusion balancing (counts)",
        lambda: baselines.ConfusionBalancing(balance="counts"),
    ),
    Method("class-weights", "coordinate-wise weights", "plain", _class_weights),
    _ours(
        "annealing",
        "published annealing (DCS)",
        lambda: EnsembleDebiaser(search="annealing-3/6"),
        "published",
    ),
    _ours(
        "annealing-long",
        "published annealing (150/300)",
        lambda: EnsembleDebiaser(search="annealing-150/300"),
        "published",
        is_slow=True,
    ),
    _ours("weight", "weight (DNIP)", lambda: WeightDebiaser(search="descent")),
    _ours("fuzzy", "fuzzy (FuRud)", lambda: FuzzyDebiaser(search="descent")),
    _ours("ensemble", "ensemble (DCS)", EnsembleDebiaser),
    _ours("log-bias", "log-bias", LogBiasDebiaser),
    _ours("wide", "wide", lambda: EnsembleDebiaser(family="wide", search="descent")),
    _ours("calibrated", "calibrated", CalibratedDebiaser),
    _ours("auto", "auto", Debiaser),
    Method("texts", "TF-IDF logistic regression", "reader", _of_texts, "texts", _texts),
    Method("states", "linear probe", "reader", _of_states, "weights", _states),
)
"""All rows of a comparison, in their order."""


def choose_methods(names: Sequence[str] | None = None, slow: bool = False) -> list[Method]:
    """Return methods by key or name, or those that every comparison carries.

    Parameters
    ----------
    names : sequence of str, optional
        Keys or names.
    slow : bool, default=False
        Whether the slow ones are among them, where no names are given.

    Returns
    -------
    list of Method
        In the order of :data:`METHODS`.

    Raises
    ------
    ParameterError
        A name is unknown, or there is none.

    Examples
    --------
    >>> [method.name for method in choose_methods(["ensemble", "batch"])]
    ['batch calibration', 'ensemble (DCS)']
    """
    if names is None:
        return [method for method in METHODS if slow or not method.is_slow]
    for name in [*names] or [""]:
        if name not in {word for method in METHODS for word in (method.key, method.name)}:
            raise ParameterError(
                parameter="methods",
                allowed=f"some of {', '.join(method.key for method in METHODS)}",
                received=name,
                fix=f"separate them by commas, as in {param('methods', 'batch,ensemble')}",
            )
    return [method for method in METHODS if method.key in names or method.name in names]
