"""The class mix from predictions alone: which mixes can produce the histogram of predictions, if any.

A confusion matrix of labelled rows says how often each class is predicted as each. Both it and the
histogram are known up to sampling error: exact bounds of every share, and a linear program over them.
"""

from typing import Any, NamedTuple

import numpy as np

from debias.guarantees.accuracy_bounds import clopper_pearson
from debias.guarantees.watching.class_mixtures import closest_shares
from debias.tables.class_columns import FloatArray, IndexArray

_HALVINGS = 12
"""Of the logarithm of a p-value, which is then known within a hundredth of it or less."""
_LEAST = 1e-8
"""Below which a p-value is not told apart from this."""
MOST_RANGES = 30
"""Classes above which the range of each share is not computed: it takes two programs a class."""


class ProducibleMix(NamedTuple):
    """The class mix that comes closest to producing a histogram of predictions.

    Attributes
    ----------
    shares : ndarray of shape (n_classes,)
    distance : float
        Largest gap that is left between the histogram and what the closest mix produces.
    p_value : float
        Of a histogram so far outside of what any mix can produce; 1 where it is above `level`.
    """

    shares: FloatArray
    distance: float
    p_value: float


def producible_mix(confusion: IndexArray, predicted: IndexArray, level: float) -> ProducibleMix:
    """Test whether any class mix can produce a histogram of predictions.

    Parameters
    ----------
    confusion : ndarray of int64, shape (n_classes, n_classes)
        Labelled rows by class and prediction; nothing was chosen on them that the predictions depend on.
        A class without such rows is taken to be absent.
    predicted : ndarray of int64, shape (n_classes,)
        New rows by prediction.
    level : float
        Above it a p-value is not computed.

    Notes
    -----
    With C the probabilities that a class is predicted as another, and q the mix, the expected histogram is
    ``sum_j q_j C_jk``. Clopper-Pearson bounds of all entries of C and of the histogram hold at once with
    probability 1 - a. In ``z_jk = q_j C_jk`` all conditions are linear: ``q_j l_jk <= z_jk <= q_j u_jk``,
    ``sum_k z_jk = q_j``, ``sum_j z_jk`` within its bounds, ``sum_j q_j = 1``. Where they have no solution,
    the classes themselves have changed, at level a. The p-value is the smallest such a: it holds for
    any number of rows.

    Examples
    --------
    >>> confusion = np.array([[80, 20], [10, 90]])
    >>> mix = producible_mix(confusion, np.array([300, 700]), 0.05)
    >>> mix.shares.round(2), mix.p_value
    (array([0.29, 0.71]), 1.0)
    >>> mix = producible_mix(confusion, np.array([990, 10]), 0.05)
    >>> round(mix.distance, 2), mix.p_value < 1e-4
    (0.19, True)
    """
    known = np.flatnonzero(confusion.sum(axis=1))
    rates = confusion[known] / confusion[known].sum(axis=1, keepdims=True)
    shares = np.zeros(len(confusion))
    shares[known], distance = closest_shares(rates, predicted / max(int(predicted.sum()), 1))
    if _Program(confusion, predicted, level).is_feasible():
        return ProducibleMix(shares, distance, 1.0)
    if not _Program(confusion, predicted, _LEAST).is_feasible():
        return ProducibleMix(shares, distance, _LEAST)
    inside, outside = np.log(_LEAST), np.log(level)
    for _ in range(_HALVINGS):  # invariant: feasible at `inside`, not at `outside`
        middle = (inside + outside) / 2
        if _Program(confusion, predicted, float(np.exp(middle))).is_feasible():
            inside = middle
        else:
            outside = middle
    return ProducibleMix(shares, distance, float(np.exp(outside)))


def share_ranges(
    confusion: IndexArray, predicted: IndexArray, level: float
) -> tuple[FloatArray, FloatArray] | None:
    """Return which shares of each class can produce a histogram of predictions.

    Parameters
    ----------
    confusion, predicted
        As in :func:`producible_mix`.
    level : float
        How probable it may be that a true share lies outside its range; all ranges hold at once.

    Returns
    -------
    low, high : ndarray of shape (n_classes,)
        None if no mix can, or for more than 30 classes.

    Examples
    --------
    >>> ranges = share_ranges(np.array([[80, 20], [10, 90]]), np.array([300, 700]), 0.05)
    >>> [bounds.round(2) for bounds in ranges]
    [array([0.08, 0.53]), array([0.47, 0.92])]
    """
    if len(confusion) > MOST_RANGES:
        return None
    program = _Program(confusion, predicted, level)
    return program.ranges() if program.is_feasible() else None


class _Program:
    """The conditions on a mix at a level; see :func:`producible_mix`."""

    def __init__(self, confusion: IndexArray, predicted: IndexArray, level: float) -> None:
        from scipy.sparse import block_array, csr_array, eye_array, kron

        support = confusion.sum(axis=1)
        self.known = np.flatnonzero(support)
        self.n_classes, n_known = len(predicted), len(self.known)
        bounded = (n_known + 1) * self.n_classes
        tail = min(level / (2 * bounded), 0.5)
        counts, rows = (
            confusion[self.known],
            np.broadcast_to(support[self.known, None], (n_known, self.n_classes)),
        )
        low, high = clopper_pearson(counts, rows, tail)
        self.low, self.high = clopper_pearson(predicted, np.full(self.n_classes, predicted.sum()), tail)
        # variables: the shares q of known classes, then z class by class
        each = eye_array(n_known * self.n_classes)
        own = kron(eye_array(n_known), np.ones((self.n_classes, 1)))
        by_prediction = kron(np.ones((1, n_known)), eye_array(self.n_classes))
        nothing = csr_array((self.n_classes, n_known))
        conditions: Any = [
            [own.multiply(low.reshape(-1, 1)), -each],
            [-own.multiply(high.reshape(-1, 1)), each],
            [nothing, by_prediction],
            [nothing, -by_prediction],
        ]
        self.A_ub: Any = block_array(conditions).tocsr()
        self.b_ub = np.concatenate([np.zeros(2 * n_known * self.n_classes), self.high, -self.low])
        sums = kron(eye_array(n_known), np.ones((1, self.n_classes)))
        one = csr_array(np.ones((1, n_known)))
        sums_up: Any = [[-eye_array(n_known), sums], [one, csr_array((1, n_known * self.n_classes))]]
        self.A_eq: Any = block_array(sums_up).tocsr()
        self.b_eq = np.append(np.zeros(n_known), 1.0)

    def _solve(self, costs: FloatArray) -> tuple[bool, float]:
        """Return whether there is a solution, and the smallest cost."""
        from scipy.optimize import linprog

        found = linprog(
            costs,
            A_ub=self.A_ub,
            b_ub=self.b_ub,
            A_eq=self.A_eq,
            b_eq=self.b_eq,
            bounds=(0, None),
            method="highs",
        )
        return (True, float(np.asarray(found.fun))) if found.status == 0 else (False, float("nan"))

    def is_feasible(self) -> bool:
        """Tell whether some mix meets all conditions."""
        return self._solve(np.zeros(self.A_ub.shape[1]))[0]

    def ranges(self) -> tuple[FloatArray, FloatArray]:
        """Return the smallest and the largest share of each class; 0 of a class without labelled rows."""
        low, high = np.zeros(self.n_classes), np.zeros(self.n_classes)
        for position, k in enumerate(self.known):
            costs = np.zeros(self.A_ub.shape[1])
            costs[position] = 1.0
            low[k], high[k] = self._solve(costs)[1], -self._solve(-costs)[1]
        return np.clip(low, 0, 1), np.clip(high, 0, 1)
