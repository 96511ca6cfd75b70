"""The checks of new rows: each compares them with the reference, or with held-out rows, in one way.

Checks "against the mix" find any change; those "against the correction" find only what no change of the
class mix explains. So where only the former find something, class accuracies still hold.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from debias.guarantees.guarantee import Guarantee
from debias.guarantees.watching.class_mixtures import closest_mixture
from debias.guarantees.watching.producible_mixes import ProducibleMix
from debias.guarantees.watching.reference import Reference
from debias.guarantees.watching.two_sample_tests import (
    below_tests,
    distribution_test,
    fall_tests,
    shares_test,
)
from debias.guarantees.watching.watched import Check
from debias.tables.class_columns import FloatArray, IndexArray


@dataclass(frozen=True)
class NewRows:
    """New rows in the order of a correction's columns.

    Attributes
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        As the model gave them.
    predicted : ndarray of int64, shape (n_samples,)
        Columns, corrected.
    label_mass : ndarray of shape (n_samples,), or None
    y : ndarray of int64, shape (n_samples,)
        Labels, as columns; -1 where there is none.
    """

    probabilities: FloatArray
    predicted: IndexArray
    label_mass: FloatArray | None
    y: IndexArray

    @property
    def uncorrected(self) -> IndexArray:
        """The columns that the model itself predicts."""
        return np.asarray(self.probabilities.argmax(axis=1))

    def counts_of(self, predicted: IndexArray) -> IndexArray:
        """Return how many rows are predicted as each class."""
        return np.bincount(predicted, minlength=self.probabilities.shape[1])


def shift_checks(rows: NewRows, reference: Reference, names: Sequence[str]) -> Iterator[Check]:
    """Yield the checks of the probabilities, which need no labels.

    Parameters
    ----------
    rows : NewRows
    reference : Reference
    names : sequence of str
        Classes in the order of the columns.
    """
    histograms = list(reference.probabilities)
    columns = [one.count(values) for one, values in zip(histograms, rows.probabilities.T, strict=True)]
    for one, counts, name in zip(histograms, columns, names, strict=True):
        yield Check("probability", "mix", *distribution_test(one.total, counts), class_name=name)
    if reference.label_mass is not None and rows.label_mass is not None:
        histograms.append(reference.label_mass)
        columns.append(reference.label_mass.count(rows.label_mass))
        fall = distribution_test(reference.label_mass.total, columns[-1], lower_only=True)
        yield Check("label mass fell", "mix", *fall)
    if reference.by_class:
        mixture = closest_mixture(histograms, columns)
        yield Check("probabilities of no class mix", "correction", mixture.distance, mixture.p_value)


def prediction_checks(
    confusion: IndexArray, predicted: IndexArray, mix: ProducibleMix | None
) -> Iterator[Check]:
    """Yield the checks of the predictions, which need no labels.

    Parameters
    ----------
    confusion : ndarray of int64, shape (n_groups, n_classes)
        Labelled rows by class and prediction.
    predicted : ndarray of int64, shape (n_classes,)
        New rows by prediction.
    mix : ProducibleMix or None
        What these tell of the class mix, where rows are counted by class.
    """
    yield Check("shares of predictions", "mix", *shares_test(confusion.sum(axis=0), predicted))
    if mix is not None:
        yield Check("predictions of no class mix", "correction", mix.distance, mix.p_value)


def label_checks(
    rows: NewRows, reference: Reference, guarantee: Guarantee | None, names: Sequence[str]
) -> Iterator[Check]:
    """Yield the checks of rows with labels.

    Class accuracies are compared with those of held-out rows, and with what is guaranteed, where the
    file has a guarantee; else those of the uncorrected model with those on the fitted rows.
    """
    labelled = rows.y >= 0
    y, n_classes = rows.y[labelled], len(names)
    if not len(y):
        return
    support = np.bincount(y, minlength=n_classes)
    held_out = np.array(guarantee.n) if guarantee is not None else reference.support
    if len(held_out) == n_classes:
        yield Check("shares of labels", "mix", *shares_test(held_out, support))
    predicted = (rows.predicted if guarantee is not None else rows.uncorrected)[labelled]
    correct = np.bincount(y[predicted == y], minlength=n_classes)
    if reference.by_class:
        for k, name in enumerate(names):
            one = reference.probabilities[k]
            own = one.count(rows.probabilities[labelled][y == k, k])
            found = distribution_test(one.counts[k], own)
            yield Check("probability on rows of the class", "correction", *found, class_name=name)
    if guarantee is not None:
        below = below_tests(correct, support, guarantee.low)
        yield from _by_class("class accuracy below its guarantee", below, names)
        falls = fall_tests(guarantee.correct, guarantee.n, correct, support)
        yield from _by_class("class accuracy fell", falls, names)
    elif reference.by_class:
        falls = fall_tests(reference.predicted.diagonal(), reference.support, correct, support)
        yield from _by_class("class accuracy of the model fell", falls, names)


def _by_class(name: str, found: tuple[FloatArray, FloatArray], names: Sequence[str]) -> Iterator[Check]:
    """Yield a check against the correction for each class."""
    for class_name, fall, p_value in zip(names, found[0].tolist(), found[1].tolist(), strict=True):
        yield Check(name, "correction", fall, p_value, class_name=class_name)
