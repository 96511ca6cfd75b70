"""Hypothesis strategies that draw constrained objectives and confusion counts."""

import numpy as np
from hypothesis import strategies as st

from debias.search.constraints import Constrained
from debias.search.objective import Counts, Objective


def fractions():
    return st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1 / 3, 0.7, 1.0]), st.floats(0, 1))


@st.composite
def constraints(draw):
    """Any combination of bounds, one at least, with any objective within."""
    bounds = [draw(fractions()) for _ in range(3)]
    if bounds == [None] * 3:
        bounds[draw(st.integers(0, 2))] = draw(st.floats(0, 1))
    inner = draw(st.sampled_from([None, Objective(), Objective(2.0, 0.0, 1.0, 10.0), Objective(0, 1, 0)]))
    return Constrained(*bounds, objective=inner)


@st.composite
def counted(draw):
    """Confusion counts, at times with a class that has no samples."""
    n_classes = draw(st.integers(2, 5))
    support = draw(st.lists(st.integers(0, 12), min_size=n_classes, max_size=n_classes))
    support[0], support[-1] = max(1, support[0]), max(1, support[-1])
    correct = [draw(st.integers(0, b)) for b in support]
    wrong = sum(support) - sum(correct)
    predicted = [c + draw(st.integers(0, wrong)) for c in correct]
    return Counts(np.array(correct), np.array(predicted), np.array(support))
