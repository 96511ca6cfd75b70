"""Certifies a classifier on held-out rows: what holds on new rows, if none of these was fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from debias.errors import OverlapError, ParameterError, TableError, param, shortened
from debias.guarantees.accuracy_bounds import check_confidence
from debias.guarantees.guarantee import Checked, Guarantee
from debias.guarantees.named_shares import shares_of
from debias.guarantees.watching.reference import MOST_BY_CLASS
from debias.tables.checks import check_probabilities
from debias.tables.class_columns import FloatArray, IndexArray, fingerprint_of
from debias.tables.labels.column_order import warn_of_order
from debias.tables.labels.label_reading import did_you_mean, plain_labels
from debias.tables.matched_columns import matched_columns
from debias.tables.overlap import check_disjoint
from debias.tables.row_digests import RowDigests
from debias.tables.splitting import plain_text
from debias.tables.table import ProbabilityTable


class Classifier(Protocol):
    """A fitted debiaser or baseline: class probabilities in, classes out."""

    def predict(self, X: Any) -> Any:
        """Return the class of each row."""

    def get_feature_names_out(self) -> Any:
        """Return the class names in the order of the columns."""


HeldOut: TypeAlias = ProbabilityTable | tuple[Any, Any]
"""Labelled rows: a table, or X and y as for ``fit``."""


@dataclass(frozen=True)
class _Rows:
    """Held-out rows as one classifier sees them: columns and labels in its order."""

    classes: tuple[str, ...]
    X: Any
    probabilities: FloatArray
    y: IndexArray
    table: ProbabilityTable | None

    @classmethod
    def of(cls, classifier: Classifier, held_out: HeldOut) -> "_Rows":
        names = tuple(str(name) for name in classifier.get_feature_names_out())
        if isinstance(held_out, ProbabilityTable):
            frame = matched_columns(held_out, names)
            _ = held_out.label_indices  # refuses a table without labels
            X = frame if hasattr(classifier, "feature_names_in_") else frame.to_numpy()
            return cls(names, X, frame.to_numpy(), _codes(held_out.labels, names), held_out)
        if not (isinstance(held_out, tuple) and len(held_out) == 2):
            allowed = "a ProbabilityTable, or a pair of rows and labels"
            raise ParameterError(
                parameter="held_out", allowed=allowed, received=f"<{type(held_out).__name__}>"
            )
        X, labels = held_out
        probabilities, y = _numbers(X), _codes(plain_labels(labels), names)
        if probabilities.shape != (len(y), len(names)):
            allowed = f"{len(y)} rows, as there are labels, and {len(names)} columns"
            raise ParameterError(parameter="held_out", allowed=allowed, received=probabilities.shape)
        check_probabilities(probabilities, names, sum_to_one=True)
        warn_of_order(probabilities, names, y, hasattr(X, "columns"), stacklevel=3)
        return cls(names, X, probabilities, y, None)

    def count_repeated(self) -> int:
        """Return how many rows repeat the text of another one, or its probabilities without texts."""
        texts = None if self.table is None else self.table.texts
        if texts is not None:
            return int(pd.Series([plain_text(text) for text in texts]).duplicated().sum())
        return int(pd.DataFrame(self.probabilities).duplicated().sum())


def certify(
    debiaser: Classifier,
    held_out: HeldOut,
    *,
    confidence: float = 0.95,
    class_mix: Any = None,
    precision: float = 0.05,
    opt: ProbabilityTable | None = None,
    keep: bool = False,
) -> Guarantee:
    """Say what holds on new rows, from labelled rows that nothing was chosen on.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted, or loaded from a file; baselines will do, too.
    held_out : ProbabilityTable or tuple of X and y
        Labelled rows on which nothing was fitted or chosen.
    confidence : float, default=0.95
        Of all statements together.
    class_mix : mapping of class to share, or sequence of shares by column, optional
        The class mix of the new rows, if known: the accuracy is then stated at it, too.
    precision : float, default=0.05
        How close bounds should be to the measured accuracies, to say how many rows that takes.
    opt : ProbabilityTable, optional
        The fitted rows: shared rows are then found by ids and texts.
    keep : bool, default=False
        Whether the debiaser keeps the guarantee, as ``guarantee_`` and in its file.

    Returns
    -------
    Guarantee
        Bounds for every class, COBias and the accuracy.

    Raises
    ------
    OverlapError
        Held-out rows were fitted on. Without `opt` this is told by the digests of rows that a correction
        keeps: by the probabilities alone.
    ParameterError
        A parameter has a value that is not allowed, or `opt` is not what was fitted on.
    TableError
        The rows have no labels, or other classes.

    Examples
    --------
    >>> from debias import EnsembleDebiaser, certify
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 400)
    >>> first = 1 / (1 + np.exp(rng.normal(size=800) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> debiaser = EnsembleDebiaser().fit(X[::2], y[::2])
    >>> guarantee = certify(debiaser, (X[1::2], y[1::2]))
    >>> print(guarantee.sentences()[0])
    Guaranteed on new rows, with 95 % confidence: every class accuracy is at least ... %.
    >>> certify(debiaser, (X[:300], y[:300]))
    Traceback (most recent call last):
    debias.errors.OverlapError: 150 of the 300 held-out rows (rows 0, 2, 4, ...) have exactly the same
    probabilities as rows that the correction was fitted on; remove them, or pass opt=..., whose ids or
    texts distinguish rows.
    """
    check_confidence(confidence)
    rows = _Rows.of(debiaser, held_out)
    confusion = _confusion(debiaser, rows)
    guarantee = Guarantee(
        classes=rows.classes,
        n=tuple(confusion.sum(axis=1).tolist()),
        correct=tuple(confusion.diagonal().tolist()),
        confidence=float(confidence),
        class_mix=None if class_mix is None else shares_of(class_mix, rows.classes),
        precision=precision,
        n_repeated=rows.count_repeated(),
        checked=_check_unseen(debiaser, rows, opt),
        confusion=tuple(map(tuple, confusion.tolist())) if len(confusion) <= MOST_BY_CLASS else None,
    )
    if keep:
        _keep(debiaser, guarantee)
    return guarantee


def _keep(debiaser: Any, guarantee: Guarantee) -> None:
    """Let a debiaser keep a guarantee."""
    if not hasattr(debiaser, "fitted_"):
        allowed = "False for a classifier that is not saved as a correction"
        raise ParameterError(parameter="keep", allowed=allowed, received=True)
    debiaser.fitted_ = replace(debiaser.fitted_, guarantee=guarantee)


def certify_many(
    candidates: Mapping[str, Classifier], held_out: HeldOut, **options: Any
) -> dict[str, Guarantee]:
    """Certify several classifiers on the same held-out rows, so that the best of them may be taken.

    Parameters
    ----------
    candidates : mapping of str to classifier
        Such as rows of the frontier, or the methods of a comparison. All of them, not the best alone.
    held_out : ProbabilityTable or tuple of X and y
        As in :func:`certify`.
    **options
        As in :func:`certify`.

    Returns
    -------
    dict of str to Guarantee
        All of them hold at once with the stated confidence.

    Notes
    -----
    Each of m candidates gets d / m of the probability d that a statement fails: these add up to d.

    Examples
    --------
    >>> from debias.estimators.debiasers import FuzzyDebiaser, WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 400)
    >>> first = 1 / (1 + np.exp(rng.normal(size=800) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> fitted = {kind.__name__: kind().fit(X[::2], y[::2]) for kind in (WeightDebiaser, FuzzyDebiaser)}
    >>> found = certify_many(fitted, (X[1::2], y[1::2]))
    >>> [guarantee.n_candidates for guarantee in found.values()]
    [2, 2]
    """
    if not candidates:
        raise ParameterError(parameter="candidates", allowed="one or more", received={})
    keep = options.pop("keep", False)
    alone = {name: certify(one, held_out, **options) for name, one in candidates.items()}
    found = {name: replace(one, n_candidates=len(alone)) for name, one in alone.items()}
    for name, one in candidates.items() if keep else ():
        _keep(one, found[name])
    return found


def certify_in_order(
    candidates: Mapping[str, Classifier],
    held_out: HeldOut,
    *,
    worst_class: float = 0.0,
    cobias: float = 1.0,
    accuracy: float = 0.0,
    **options: Any,
) -> list[str]:
    """Return the first candidates that are guaranteed to meet a requirement, in an order fixed beforehand.

    Parameters
    ----------
    candidates : mapping of str to classifier
        In an order that no held-out row had a say in, such as the most wanted first.
    held_out : ProbabilityTable or tuple of X and y
        As in :func:`certify`.
    worst_class, accuracy : float, default=0.0
        What every class accuracy, and the accuracy at `class_mix` (that of the held-out rows if not given),
        must reach.
    cobias : float, default=1.0
        What COBias must not exceed.
    **options
        As in :func:`certify`.

    Returns
    -------
    list of str
        All of these meet the requirement, with the stated confidence: it is not divided among them.

    Notes
    -----
    Fixed-sequence testing: candidates are tested in order until one does not pass. Something false is
    said only if the first candidate that does not meet the requirement passes, and its own guarantee
    fails with a probability of at most d.

    Examples
    --------
    >>> from debias.estimators.debiasers import WeightDebiaser
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 400)
    >>> first = 1 / (1 + np.exp(rng.normal(size=800) - 2 + 2 * y))
    >>> X = np.column_stack([first, 1 - first])
    >>> debiaser = WeightDebiaser().fit(X[::2], y[::2])
    >>> certify_in_order({"weights": debiaser}, (X[1::2], y[1::2]), worst_class=0.6)
    ['weights']
    """
    passed = []
    for name, one in candidates.items():
        found = certify(one, held_out, **options)
        meets = (
            found.worst_class_at_least >= worst_class
            and found.cobias_at_most <= cobias
            and found.accuracy(found.class_mix)[0] >= accuracy
        )
        if not meets:
            break
        passed.append(name)
    return passed


def _numbers(X: Any) -> FloatArray:
    """Return rows as an array of numbers."""
    try:
        return np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        allowed = "an array or a frame of numbers, in rows of equal length"
        raise TableError(parameter="held_out", allowed=allowed, received=f"<{type(X).__name__}>") from error


def _codes(labels: Any, names: tuple[str, ...]) -> IndexArray:
    """Return labels as columns."""
    texts = [str(label) for label in labels]
    codes = pd.Index(names).get_indexer(pd.Index(texts, dtype=object))
    if len(codes) and codes.min() < 0:
        row = int(np.argmin(codes))
        raise TableError(
            f"the label {shortened(texts[row])} is not a class of the correction, whose classes are "
            f"{shortened(list(names))}",
            received=texts[row],
            row=row,
            fix=did_you_mean(texts[row], names),
        )
    if not len(codes):
        raise TableError("there are no held-out rows", parameter="held_out")
    return codes.astype(np.int64)


def _confusion(classifier: Classifier, rows: _Rows) -> IndexArray:
    """Return how many rows of each class are predicted as each class."""
    n_classes = len(rows.classes)
    pairs = rows.y * n_classes + _codes(classifier.predict(rows.X), rows.classes)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def _check_unseen(classifier: Classifier, rows: _Rows, opt: ProbabilityTable | None) -> Checked:
    """Refuse rows that were fitted on, and return by what that was told."""
    fitted = getattr(classifier, "fitted_", None)
    if fitted is not None and fingerprint_of(rows.probabilities, rows.y) == fitted.data_fingerprint:
        raise OverlapError(
            "the correction was fitted on these very rows",
            parameter="held_out",
            fix="certify it on rows that it has not seen, such as one side of `debias split`",
        )
    if opt is not None:
        _check_fitted_on(fitted, opt, rows.classes)
    if opt is not None and rows.table is not None:
        check_disjoint(opt, rows.table)
        mine, its = opt._parts, rows.table._parts
        named = bool(mine.ids_given and its.ids_given) or (mine.source or "") == (its.source or " ")
        if named or (mine.texts is not None and its.texts is not None):
            return "table"
    digests: RowDigests | None = None if fitted is None else fitted.row_digests
    if opt is not None:
        digests = RowDigests.of(matched_columns(opt, rows.classes).to_numpy())
    if digests is None:
        return "nothing"
    shared = digests.shared(rows.probabilities)
    if len(shared):
        shown = f"{', '.join(map(str, shared[:3]))}{', ...' if len(shared) > 3 else ''}"
        raise OverlapError(
            f"{len(shared):,} of the {len(rows.y):,} held-out rows (rows {shown}) have exactly the same "
            "probabilities as rows that the correction was fitted on",
            received=shared.tolist(),
            fix=f"remove them, or pass {param('opt', '...')}, whose ids or texts distinguish rows",
        )
    return "table" if opt is not None else "digests"


def _check_fitted_on(fitted: Any, opt: ProbabilityTable, classes: tuple[str, ...]) -> None:
    """Refuse a table that the correction was not fitted on; rows with weights cannot be told."""
    if fitted is None or fitted.n_labels != int(fitted.counts().support.sum()):
        return
    _ = opt.label_indices
    codes = _codes(opt.labels, classes)
    if fingerprint_of(matched_columns(opt, classes).to_numpy(), codes) != fitted.data_fingerprint:
        raise ParameterError(
            parameter="opt",
            allowed=f"the {fitted.n_labels:,} rows that the correction was fitted on",
            received=f"another table of {len(opt):,} rows",
        )
