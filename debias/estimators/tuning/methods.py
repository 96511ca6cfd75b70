"""The methods by name: made from settings, and read back from files."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike

import numpy as np

from debias.corrections.correction import Correction
from debias.errors import ParameterError
from debias.estimators.base_debiaser import BaseDebiaser
from debias.estimators.calibrated import CalibratedDebiaser
from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser
from debias.estimators.few_labels.one_standard_error import UNCORRECTED
from debias.estimators.fitted.correction_file import read_correction
from debias.estimators.fitted.fitted_correction import NO_CORRECTION
from debias.estimators.log_bias import LogBiasDebiaser
from debias.search.search_settings import SEARCHES

METHODS: Mapping[str, Callable[..., BaseDebiaser]] = {
    UNCORRECTED: partial(CalibratedDebiaser, base="identity", family=NO_CORRECTION),
    "batch": partial(CalibratedDebiaser, base="batch", family=NO_CORRECTION),
    "weight": WeightDebiaser,
    "fuzzy": FuzzyDebiaser,
    "ensemble": EnsembleDebiaser,
    "wide": partial(EnsembleDebiaser, family="wide"),
    "log-bias": LogBiasDebiaser,
    "vector": partial(CalibratedDebiaser, base="vector"),
    "calibrated": CalibratedDebiaser,
}
"""How to make each method, from the simplest to the most complex."""

NOT_MONOTONE = ("fuzzy", "ensemble")
"""Methods that may lower a value where the probability rises."""

_KINDS = (WeightDebiaser, FuzzyDebiaser, EnsembleDebiaser, LogBiasDebiaser, CalibratedDebiaser)


def make_method(name: str, settings: Mapping[str, object]) -> BaseDebiaser:
    """Return the debiaser of a method, not fitted.

    Parameters
    ----------
    name : str
        One of :data:`METHODS`.
    settings : mapping of str to object
        Parameters; those that the method does not have are omitted, and those that are None.

    Returns
    -------
    BaseDebiaser

    Raises
    ------
    ParameterError
        There is no such method.

    Examples
    --------
    >>> make_method("weight", {"n_weights": 10, "class_weight": None})
    WeightDebiaser(n_weights=10)
    """
    if name not in METHODS:
        allowed = "one of " + ", ".join(map(repr, METHODS))
        raise ParameterError(parameter="method", allowed=allowed, received=name)
    debiaser = METHODS[name]()
    known = debiaser.get_params(deep=False)
    given = {key: value for key, value in settings.items() if key in known and value is not None}
    return debiaser.set_params(**given)


def load(path: str | PathLike[str], family: Sequence[Correction] | None = None) -> BaseDebiaser:
    """Read a correction that :meth:`save` wrote.

    The file is data, never code: nothing in it is executed.

    Parameters
    ----------
    path : str or path-like
        The file.
    family : sequence of Correction, optional
        Corrections of your own, which a file names by id and label only.

    Returns
    -------
    BaseDebiaser
        Fitted, of the class that was saved.

    Raises
    ------
    CorrectionFileError
        The file is missing, damaged, of another kind or version.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> X = np.array([[0.62, 0.38], [0.7, 0.3], [0.9, 0.1]])
    >>> debiaser = WeightDebiaser().fit(X, [1, 0, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     debiaser.save(os.path.join(folder, "correction.json"))
    ...     again = load(os.path.join(folder, "correction.json"))
    >>> (again.predict(X) == debiaser.predict(X)).all()
    np.True_
    """
    kinds = {kind.__name__: kind for kind in _KINDS}
    fitted, named = read_correction(path, tuple(kinds), family)
    parameters: dict[str, object] = {"objective": fitted.objective, "base": fitted.base.kind}
    parameters["family"] = fitted.family if family is None else family
    if fitted.n_weights is not None:
        parameters["n_weights"] = fitted.n_weights
    if fitted.search in SEARCHES:
        parameters["search"] = fitted.search
    by_column = fitted.classes[np.argsort(fitted.columns)].tolist()
    is_sorted = fitted.columns.tolist() == sorted(fitted.columns)
    if not named and (fitted.classes.dtype.kind == "U" or not is_sorted):
        parameters["classes"] = by_column
    debiaser: BaseDebiaser = kinds[fitted.method]()
    known = debiaser.get_params(deep=False)
    debiaser.set_params(**{name: value for name, value in parameters.items() if name in known})
    debiaser._restore(fitted, named)
    if not is_sorted:  # where a frame had these columns, the file does not say so
        debiaser.column_names_in_ = by_column
    return debiaser
