"""Row conditions: what must happen for a row to be predicted as its own class, read off the literal rules.

The referee's view of the data, shared with no search: every corrected value of a row's own
class is compared with every one of its rivals, by the three rules of
:func:`debias.corrections.correction.decide`. What is left are small integers, the same for many rows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from debias.corrections.families import Family

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class RowCondition(NamedTuple):
    """One row, or several that no choice can tell apart.

    Attributes
    ----------
    label : int
        Their class.
    n_samples : int
        How many they are.
    standing : ndarray of int64, shape (n_classes, n_corrections)
        In the row of the label the reach of each of its corrections, in the others the
        hurdle that a rival's correction sets: the row is predicted as its label if the
        reach is at least the hurdle of every rival. A reach of 0 always loses; hurdles
        begin at 1.
    """

    label: int
    n_samples: int
    standing: IndexArray

    @property
    def reach(self) -> IndexArray:
        """Reach of every correction of the label."""
        return np.asarray(self.standing[self.label])

    @property
    def rivals(self) -> list[int]:
        """The other classes."""
        return [k for k in range(len(self.standing)) if k != self.label]


def build_conditions(probabilities: FloatArray, y: IndexArray, family: Family) -> list[RowCondition]:
    """Compare all corrected values of every row, and merge the rows that are alike.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    y : ndarray of shape (n_samples,)
        Labels, as column indices.
    family : Family
        The corrections to choose from.

    Returns
    -------
    list of RowCondition
        By label.

    Examples
    --------
    Half of the first column suffices to lose to an unchanged second column:

    >>> from debias.corrections.families import weights
    >>> condition, = build_conditions(np.array([[0.6, 0.4], [0.62, 0.38]]), np.array([1, 1]), weights(2))
    >>> condition.n_samples, condition.reach.tolist(), condition.standing[0].tolist()
    (2, [0, 1], [1, 2])
    """
    values = np.stack([family.values(column) for column in probabilities.T])
    lines = []
    for row, label in enumerate(y):
        standing = _standing(values[:, :, row], probabilities[row], int(label))
        lines.append(np.concatenate([[label], standing.ravel()]))
    distinct, counts = np.unique(np.array(lines, dtype=np.int64), axis=0, return_counts=True)
    return [
        RowCondition(int(line[0]), int(count), line[1:].reshape(values.shape[:2]))
        for line, count in zip(distinct, counts, strict=True)
    ]


def alike(conditions: list[RowCondition], identity: int) -> list[list[list[int]]]:
    """Group the corrections of every class that no row of any condition can tell apart.

    Parameters
    ----------
    conditions : list of RowCondition
        All rows.
    identity : int
        Index of the correction that changes nothing: the first of its group.

    Returns
    -------
    list of list of list of int
        For every class its groups, each a list of corrections.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> conditions = build_conditions(np.array([[0.9, 0.1]]), np.array([0]), weights(3))
    >>> alike(conditions, identity=2)
    [[[2, 0, 1]], [[2, 0, 1]]]
    """
    n_classes, n_corrections = conditions[0].standing.shape
    order = [identity, *(r for r in range(n_corrections) if r != identity)]
    result = []
    for k in range(n_classes):
        columns = np.stack([condition.standing[k] for condition in conditions], axis=1)
        groups: dict[bytes, list[int]] = {}
        for r in order:
            groups.setdefault(columns[r].tobytes(), []).append(r)
        result.append(list(groups.values()))
    return result


def _standing(values: FloatArray, probabilities: FloatArray, label: int) -> IndexArray:
    """Return the reaches of the label and the hurdles of its rivals in one row.

    Parameters
    ----------
    values : ndarray of shape (n_classes, n_corrections)
        Corrected values.
    probabilities : ndarray of shape (n_classes,)
        The values before.
    label : int
        Class of the row.
    """
    n_classes, n_corrections = values.shape
    wins = np.ones((n_classes, n_corrections, n_corrections), dtype=bool)
    for rival in range(n_classes):
        if rival != label:
            wins[rival] = _wins(values, probabilities, label, rival)
    # The corrected values of a row stand in one order, so who beats more rivals beats the same and more.
    reach = wins.sum(axis=(0, 2))
    standing = np.where(wins, 0, reach[:, None] + 1).max(axis=1)  # one above the best that loses
    lowest = standing.min(axis=1)[np.arange(n_classes) != label].max()
    levels = np.unique(reach[reach >= lowest])
    standing = np.searchsorted(levels, np.maximum(standing, lowest)) + 1
    standing[label] = np.where(reach >= lowest, np.searchsorted(levels, reach) + 1, 0)
    return np.asarray(standing, dtype=np.int64)


def _wins(values: FloatArray, probabilities: FloatArray, label: int, rival: int) -> Flags:
    """Say which corrections of the label, by row, beat which of the rival's, by column.

    The larger value wins, and of equal ones the lower class. Where both are zero the label
    can only be predicted if all others are zero too, and then the probabilities decide.
    """
    mine, theirs = values[label][:, None], values[rival][None, :]
    first = label < rival
    before, rivals_before = probabilities[label], probabilities[rival]
    wins_at_zero = before > rivals_before or (before == rivals_before and first)
    return np.asarray((mine > theirs) | ((mine == theirs) & np.where(mine > 0, first, wins_at_zero)))
