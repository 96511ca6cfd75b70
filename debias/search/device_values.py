"""What counts are worth, and bounds of it, for many choices at once on a device of torch.

The counterparts of compiled functions: :func:`least_objectives` of
:func:`debias.search.proof.bounds.least_objective`, :func:`value_counts` of
:func:`debias.search.proof.bit_table_kernels.level_lanes`, operation by operation, so that the numbers are
the same to the last bit.
"""

from typing import NamedTuple

import numpy as np
import torch

from debias.search.constraints import BOUND_TOLERANCE, INFEASIBLE
from debias.search.proof.bounds import TOLERANCE, Terms


class Values(NamedTuple):
    """What choices are worth, each a tensor of float64, shape (n_choices,).

    Attributes
    ----------
    right : Tensor
        Right samples.
    cobias : Tensor
        COBias.
    partial : Tensor
        z without its PMI and without constraints.
    least : Tensor
        At most z, but for rounding; z itself where it has no PMI.
    """

    right: torch.Tensor
    cobias: torch.Tensor
    partial: torch.Tensor
    least: torch.Tensor


def value_counts(counts: torch.Tensor, terms: Terms) -> Values:
    """Value choices by their right samples.

    Parameters
    ----------
    counts : Tensor of float32, shape (n_classes, n_choices)
        Right samples by class.
    terms : Terms
        The objective.

    Returns
    -------
    Values
        On the same device.

    Examples
    --------
    >>> from debias.corrections.families import weights
    >>> from debias.search.objective import Objective
    >>> from debias.search.proof.bounds import terms_of
    >>> from debias.search.problem import build_problem
    >>> P = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]])
    >>> problem = build_problem(P, np.array([1, 0, 0]), weights(4), Objective(pmi=0))
    >>> value_counts(torch.tensor([[2.0, 2.0], [0.0, 1.0]]), terms_of(problem)).least.tolist()
    [1.3333333333333335, 0.0]
    """
    weights = [float(weight) for weight in terms.weights]
    right = counts.sum(0, dtype=torch.float64)
    gaps, low = torch.zeros_like(right), torch.zeros_like(right)
    accuracies: list[torch.Tensor] = []
    for k in np.flatnonzero(terms.support > 0):
        mine = counts[k].double() * (1.0 / int(terms.support[k]))
        for theirs in accuracies:
            gaps += (mine - theirs).abs_()
        if weights[6] > 0:
            low += (weights[6] - mine).clamp_(min=0.0)
        accuracies.append(mine)
    partial = weights[3] - weights[0] * right + weights[1] * gaps
    cobias = gaps * weights[7]
    least = partial
    if weights[2] > 0:
        least = partial - weights[2] * _most_information(right, counts.amax(0).double(), terms)
    if np.isfinite(weights[4]) or weights[5] > 0 or weights[6] > 0:
        out = low + (cobias - weights[4]).clamp_(min=0.0) + (weights[5] - right).clamp_(min=0.0) * weights[8]
        # Twice the tolerance: what rounding here makes of it must not rule out what is within.
        least = torch.where(out > 2 * BOUND_TOLERANCE, INFEASIBLE + out, least)
    return Values(right, cobias, partial, least)


def least_objectives(most: torch.Tensor, terms: Terms) -> torch.Tensor:
    """Bound z of all choices with no more than so many right samples in each class.

    Parameters
    ----------
    most : Tensor of float64, shape (n_rows, n_classes)
        Right samples by class.
    terms : Terms
        The objective.

    Returns
    -------
    Tensor of float64, shape (n_rows,)
        At most z; 1000 and more where no such choice meets the constraints.
    """
    weights = [float(weight) for weight in terms.weights]
    present = [int(k) for k in terms.by_support if terms.support[k] > 0]
    right, mine = most.sum(1), most[:, present]
    support = torch.tensor(terms.support[present], dtype=torch.float64, device=most.device)
    accuracy = mine / support
    lacking = (weights[6] - accuracy).clamp(min=0.0).sum(1)
    lacking += (weights[5] - right).clamp(min=0.0) / terms.n_samples
    levels = torch.cat([torch.zeros_like(right)[:, None], accuracy.sort(1).values], dim=1)
    least = torch.full_like(right, -torch.inf)
    for multipliers in terms.multipliers.tolist():
        least = torch.maximum(least, _least_of_levels(mine, support, levels, weights, multipliers))
    if weights[2] > 0:
        least -= weights[2] * _most_information(right, most.amax(1), terms)
    return torch.where(lacking > TOLERANCE, INFEASIBLE + lacking, least)


def _least_of_levels(
    most: torch.Tensor,
    support: torch.Tensor,
    levels: torch.Tensor,
    weights: list[float],
    multipliers: list[float],
) -> torch.Tensor:
    """Return at most z without its PMI; classes by falling support, levels ascending from 0."""
    right_factor, gap_factor = weights[0] + multipliers[0], weights[1] + multipliers[1]
    least = torch.full_like(levels[:, 0], weights[3] + multipliers[2])
    for below, level in zip(levels.T[:-1], levels.T[1:], strict=True):
        above = most > below[:, None] * support + 1e-9
        size = above.cumsum(1, dtype=torch.float64)  # whole numbers times a number would be float32
        gain = (above * (right_factor * support)).cumsum(1)
        best = (gap_factor * size * (len(support) - size) - gain).amin(1).clamp_(max=0.0)
        least += (level - below) * best
    return least


def _most_information(right: torch.Tensor, largest: torch.Tensor, terms: Terms) -> torch.Tensor:
    """Return at least the sum of PMIs, from the right samples in all and of the class that has most."""
    wrong = (terms.n_samples - right).clamp_(min=0.0)
    return terms.constant - torch.log1p(wrong / (largest + terms.smoothing))
