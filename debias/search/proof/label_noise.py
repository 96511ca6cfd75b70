"""Label noise: how far a choice may be from the best if some labels of the fitted rows are wrong.

It is proved of the rows that were seen, whichever labels are wrong and whatever they should be.
"""

import math

import numpy as np

from debias.errors import ParameterError
from debias.search.objective import IndexArray, Objective


def most_change(objective: Objective, support: IndexArray, n_wrong: int) -> float:
    """Return how much the objective of any choice can change, but for what changes for all alike.

    Parameters
    ----------
    objective : Objective
        Without bounds; costs as a matrix in the order of `support`.
    support : ndarray of shape (n_classes,)
        Rows of each class by the labels as they are.
    n_wrong : int
        Labels that may be wrong.

    Returns
    -------
    float
        Infinite where a class has no more rows than that: it might have none.

    Notes
    -----
    Correct one label after another. A row has one prediction, so one class at most gains or loses a
    correct row: the error changes by at most 1/M and the information by ln(1 + 1/k), the support of
    the classes aside, which is the same for all choices. The class that loses the row had n of them:
    its accuracy changes by at most 1/n; that of the class that gains it by 1/(n + 1). COBias changes by at
    most 2/N times the sum of both, balanced accuracy by 1/N times the sum, the worst class by the larger one.
    F1 = 2 c / (n + q), with c correct and q predicted rows, changes by at most twice as much as the
    accuracy, and macro F1 by 2/N times the sum. The cost of the row changes by at most the widest range of
    costs of one prediction.

    Hence with b this change, gap what was proved and primes for the true labels: ``z'(choice) <=
    z(choice) + b <= min z + gap + b <= min z' + gap + 2 b``. And a choice that is better than every choice
    with other predictions by 2 b stays the best.

    Examples
    --------
    >>> import numpy as np
    >>> round(most_change(Objective(pmi=0), np.array([250, 250, 250, 250]), 1), 5)
    0.00499
    >>> most_change(Objective(), np.array([3, 40]), 3)
    inf
    """
    if n_wrong < 0:
        raise ParameterError(parameter="n_wrong", allowed="an integer of at least 0", received=n_wrong)
    fewest, n_rows = int(support.min()), int(support.sum())
    if n_wrong >= fewest:
        return math.inf
    n_classes, lost = len(support), sum(1 / (fewest - done) for done in range(n_wrong))
    moves = lost + sum(1 / (fewest - done + 1) for done in range(n_wrong))
    information = n_wrong * math.log1p(1 / objective.smoothing) if objective.pmi else 0.0
    costs = objective.cost_matrix(n_classes)
    range_of_costs = 0.0 if costs is None else float(np.ptp(costs, axis=0).max())
    return (
        (objective.error + range_of_costs) * n_wrong / n_rows
        + (2 * objective.cobias + objective.balanced_error + 2 * objective.macro_f1) / n_classes * moves
        + objective.worst_class * lost
        + objective.pmi * information
    )


def tolerated_labels(objective: Objective, support: IndexArray, margin: float) -> int:
    """Return how many labels may be wrong, whichever, without another choice becoming better.

    Parameters
    ----------
    objective, support
        As in :func:`most_change`.
    margin : float
        How much better the choice is than the best of those that predict any row otherwise. Choices with the
        same predictions change alike.

    Returns
    -------
    int
        0 where another choice is almost as good, as on most tables.

    Examples
    --------
    >>> import numpy as np
    >>> tolerated_labels(Objective(pmi=0), np.array([250, 250, 250, 250]), 0.05)
    4
    """
    tolerated = 0
    while 2 * most_change(objective, support, tolerated + 1) <= margin:
        tolerated += 1
    return tolerated
