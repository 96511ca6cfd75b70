"""How much work a proof is, and the order of the classes in which it is least.

The order in which classes are settled changes the work of a pruned walk tenfold and more; random
ways down the tree tell at little cost how much each order would take.
"""

from itertools import permutations

import numpy as np

from debias.search.proof.bit_tables import Lanes, in_order
from debias.search.proof.bounds import Terms
from debias.search.proof.enumeration import probe
from debias.search.proof.enumeration_state import Found, new_state

_FEW_WAYS, _WAYS = 100, 1_000
_MOST_ORDERS, _FINALISTS = 24, 4
_LITTLE = 20_000


def pruned_work(
    lanes: Lanes, terms: Terms, found: Found, n_ways: int = _WAYS, random_state: int = 0
) -> float:
    """Estimate the work of a pruned walk of everything, in nodes bounded.

    Parameters
    ----------
    lanes : Lanes
        What is walked.
    terms : Terms
        The objective.
    found : Found
        The best choice that is known.
    n_ways : int, default=1000
        Random ways down the tree.
    random_state : int, default=0
        Their seed.

    Returns
    -------
    float
        Rough: branches that matter may be met by few of the ways. Counting a row of lanes
        takes about as long as bounding a node, being ruled out a quarter of that.
    """
    draws = np.random.default_rng(random_state).random((n_ways, len(lanes.order) - 1))
    n_nodes, n_rows, n_counted = probe(lanes, terms, new_state(lanes), found, draws)
    return float(n_nodes + n_rows / 4 + n_counted / lanes.holds.shape[2])


def arrange(lanes: Lanes, terms: Terms, found: Found, random_state: int = 0) -> Lanes:
    """Return the lanes in an order of the classes in which a pruned walk is short.

    Every order of up to four classes is tried, of more classes some at random; the best few of
    them again, more closely.

    Parameters
    ----------
    lanes, terms, found, random_state
        As in :func:`pruned_work`.

    Returns
    -------
    Lanes
        The same lanes in the order that was found, or as they came where all is little work.
    """
    n_classes = len(lanes.order)
    if lanes.n_choices <= _LITTLE:
        return lanes
    rng = np.random.default_rng(random_state)
    if n_classes <= 4:
        orders = [np.array(order) for order in permutations(range(n_classes))]
    else:
        orders = [lanes.order, *(rng.permutation(n_classes) for _ in range(_MOST_ORDERS - 1))]

    def by_work(orders: list[np.ndarray], n_ways: int) -> list[np.ndarray]:
        work = [pruned_work(in_order(lanes, order), terms, found, n_ways, random_state) for order in orders]
        return [orders[at] for at in np.argsort(work, kind="stable")]

    return in_order(lanes, by_work(by_work(orders, _FEW_WAYS)[:_FINALISTS], _WAYS)[0])
