"""Compiled comparison of choices that were counted elsewhere, one after another as a walk would meet them."""

from typing import Any

from debias.compilation import compiled
from debias.search.proof.enumeration import consider, keep_pair


@compiled
def offer_choices(
    lanes: Any, terms: Any, state: Any, found: Any, chosen: Any, counts: Any, level: Any
) -> None:
    """Let each choice become the best of ``found`` if it beats the best.

    ``chosen[m]`` are its lanes, ``counts[m]`` its right samples by class, ``level[m]`` its z
    without PMI and constraints.
    """
    for m in range(chosen.shape[0]):
        right = 0
        for k in range(chosen.shape[1]):
            state.lane[k] = chosen[m, k]
            state.counts[k, 0] = counts[m, k]
            right += counts[m, k]
        state.gaps[0, 0] = level[m]
        state.gaps[1, 0] = right
        consider(lanes, terms, state, found, 0)


@compiled
def offer_pairs(lanes: Any, state: Any, found: Any, chosen: Any, right: Any, cobias: Any) -> None:
    """Let each choice enter the front of ``found`` if its COBias is the lowest for as many right samples."""
    for m in range(chosen.shape[0]):
        for k in range(chosen.shape[1]):
            state.lane[k] = chosen[m, k]
        keep_pair(lanes, state, found, right[m], cobias[m])
