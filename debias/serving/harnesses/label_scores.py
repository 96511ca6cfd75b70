"""Corrects the log-probabilities of labels: matched to classes by name, corrected, and decided.

The harnesses see log-probabilities; a correction works on the probabilities that they are among
the labels, which sum to one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.serving.served_correction import ServedCorrection

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]


def read_correction(correction: "str | Path | ServedCorrection") -> "ServedCorrection":
    """Return a correction that was read already, or read it from its file.

    Raises
    ------
    CorrectionFileError
        The file is missing, or is none that a correction was saved in.
    """
    from debias.serving import load

    return load(Path(correction).expanduser()) if isinstance(correction, str | Path) else correction


def columns_of(
    classes: Sequence[object],
    names: Sequence[object],
    renamed: Mapping[str, str] | None = None,
    row: int | None = None,
) -> IndexArray:
    """Return the column of the correction that each choice belongs to.

    Parameters
    ----------
    classes : sequence of length n_classes
        The classes of the correction, in the order of its columns.
    names : sequence of length n_classes
        The choices in any order; spaces around them are ignored.
    renamed : mapping of str to str, optional
        From choices to classes, where they are called otherwise.
    row : int, optional
        The document, for the error.

    Returns
    -------
    ndarray of int of shape (n_classes,)
        A permutation.

    Raises
    ------
    ParameterError
        The choices are not the classes.

    Examples
    --------
    >>> columns_of(["Bug", "Billing"], [" Billing", " Bug"])
    array([1, 0])
    >>> columns_of(["Bug", "Billing"], ["A", "B"], {"A": "Billing", "B": "Bug"})
    array([1, 0])
    >>> columns_of(["Bug", "Billing"], ["Bug", "Question"], row=3)
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: row 3: the choices 'Bug', 'Question' are not the classes of the correction,
    'Bug', 'Billing'; ...
    """
    place = {str(name).strip(): column for column, name in enumerate(classes)}
    other = {key.strip(): value.strip() for key, value in (renamed or {}).items()}
    written = [str(name).strip() for name in names]
    own = [other.get(name, name) for name in written]
    if len(own) != len(place) or set(own) != set(place):
        listed = (", ".join(map(repr, some)) for some in (own, place))
        raise ParameterError(
            "the choices {} are not the classes of the correction, {}".format(*listed),
            parameter="choices",
            received=written,
            fix="name the choices like the classes, or map the choices to classes with classes",
            row=row,
        )
    return np.array([place[name] for name in own], dtype=np.int64)


def among_labels(log_likelihoods: npt.ArrayLike) -> FloatArray:
    """Return the probabilities of labels among themselves, from log-probabilities.

    Parameters
    ----------
    log_likelihoods : array-like of shape (n_samples, n_classes)
        Natural logarithms; minus infinity stands for a probability of zero.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_classes)
        Rows sum to one.

    Raises
    ------
    ParameterError
        A row has a value that is no log-likelihood, or nothing but zeros.

    Examples
    --------
    >>> among_labels([[np.log(0.2), np.log(0.6)]])
    array([[0.25, 0.75]])
    >>> among_labels([[-1.0, -2.0], [-np.inf, -np.inf]])
    Traceback (most recent call last):
        ...
    debias.errors.ParameterError: row 1: ...
    """
    values = np.asarray(log_likelihoods, dtype=np.float64)
    highest = values.max(axis=1, keepdims=True)
    bad = ~np.isfinite(highest[:, 0]) | np.isnan(values).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ParameterError(
            parameter="the log-likelihoods of the choices",
            allowed="numbers, one of them finite",
            received=values[row].tolist(),
            row=row,
        )
    shares = np.exp(values - highest)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def corrected_log_likelihoods(correction: Any, log_likelihoods: npt.ArrayLike) -> FloatArray:
    """Return logarithms of the corrected values; the largest one is that of the decision, alone.

    A row whose corrected values are all zero keeps what was corrected. Corrected values that are equal, or
    that differ by less than their logarithms can show, would be decided by the order of the choices: those
    that do not win are put just below the winner.

    Parameters
    ----------
    correction : ServedCorrection
        With columns in the same order.
    log_likelihoods : array-like of shape (n_samples, n_classes)
        Natural logarithms.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_classes)
        Minus infinity where a corrected value is zero.

    Raises
    ------
    ParameterError
        A row has no log-likelihoods.
    """
    probabilities = among_labels(log_likelihoods)
    decided = np.asarray(correction.decide(probabilities))
    values = np.asarray(correction.values(probabilities), dtype=np.float64)
    empty = np.asarray(~values.any(axis=1))
    values[empty] = correction.base.posteriors(probabilities)[empty]
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    winner = np.take_along_axis(logs, decided[:, None], axis=1)
    below = np.minimum(logs, np.nextafter(winner, -np.inf))
    below[np.arange(len(below)), decided] = winner[:, 0]
    return np.asarray(below)
