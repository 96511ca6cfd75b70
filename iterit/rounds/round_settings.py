"""Holds what a run of rounds is set to do. It is light to import: options of a command are made from it."""

import math
from dataclasses import dataclass, fields
from typing import Any

from debias.errors import ParameterError
from debias.settings import setting
from iterit.selection.selection_settings import SelectionSettings


@dataclass(frozen=True)
class RoundSettings(SelectionSettings):
    """How rows are picked in each round, and which rows are scored again.

    Parameters
    ----------
    n_picks : int, default=1
        Rows to pick in each round (k); :class:`~iterit.training.trainer.IterIT` computes it from a ratio.
    window : {"top", "published", "bounded"}, default="top"
        "top": the rows that are hardest by the newest scores, recomputed each round.
        "published": the first rows of the order that round 0 found, the same in each round.
        "bounded": every row that could be among the hardest, as far as scores moved in earlier rounds; all
        rows until enough moves are known.
    update_ratio : float, default=3.0
        Rows scored again per row to pick; with the window ``bounded``, the hardest rows that are
        candidates.
    above_share : float, default=0.1
        Share of the window ``top`` for rows whose newest IFD is not below ``max_ifd``: they cannot
        be picked until they have a lower score. Those with the oldest scores come first.
    stale_share : float, default=0.1
        Share of the window ``top`` for other rows, those with the oldest scores first, so that no row
        keeps its score of round 0 for ever.
    confidence : float, default=0.95
        Confidence of the bounds of the window ``bounded``, and of the limit of what they missed.
    missed_share : float, default=0.05
        Share of the hardest rows that the window ``bounded`` may miss.
    check_share : float, default=0.02
        Share of the rows that the window ``bounded`` scores whatever their scores are, to find out what it
        misses: 50 rows at least.
    mode, decay, min_ifd, max_ifd, tokens, quotas, floors, match_length, diversity, low_quantile, \
    high_quantile, seed
        See :class:`iterit.selection.selection_settings.SelectionSettings`; the seed also decides the
        order in which picked rows are trained.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> RoundSettings(n_picks=100).window_size
    300
    >>> RoundSettings(n_picks=100, window="middle")
    Traceback (most recent call last):
    debias.errors.ParameterError: window must be one of 'top', 'published', 'bounded', got 'middle'.
    """

    max_ifd: float = setting(1.0, "Exclude records with this IFD or higher.")
    n_picks: int = setting(1, "", least=1)
    window: str = setting(
        "top",
        "Records that later rounds rescore: top (by the newest scores), published (fixed) or bounded (all "
        "that could be among the hardest).",
        one_of=("top", "published", "bounded"),
    )
    update_ratio: float = setting(3.0, "Number of records to rescore per record to pick.", least=1)
    above_share: float = setting(
        0.1, "Share of the rescored records that have an IFD of --max-ifd or above.", least=0
    )
    stale_share: float = setting(0.1, "Share of the rescored records that have the oldest scores.", least=0)
    confidence: float = setting(
        0.95,
        "Confidence level of the bounds of --window bounded, and of the share they missed.",
        above=0,
        most=0.9999,
    )
    missed_share: float = setting(
        0.05, "Share of the hardest records that --window bounded may miss.", above=0, most=1
    )
    check_share: float = setting(
        0.02, "Share of the records that --window bounded always scores, as a check.", above=0, most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.above_share + self.stale_share >= 1:
            raise ParameterError(
                f"above_share is {self.above_share:g} and stale_share is {self.stale_share:g}",
                parameter="above_share",
                received=self.above_share,
                fix="make their sum less than 1, so that part of the window is left for the hardest rows",
            )
        others = {"match_length": self.match_length, "floors": self.floors, "mode": self.mode == "banded"}
        if self.window == "bounded" and any(others.values()):
            name = next(name for name, used in others.items() if used)
            raise ParameterError(
                f"the window 'bounded' contains only the hardest records, but {name} is "
                f"{getattr(self, name)!r}, which picks others",
                parameter="window",
                received="bounded",
                fix="use the window 'top'",
            )

    @property
    def window_size(self) -> int:
        """Rows scored again in a later round."""
        return math.floor(self.update_ratio * self.n_picks + 1e-9)

    @property
    def selection(self) -> dict[str, Any]:
        """Settings of a selection, as keywords of :func:`iterit.selection.selection.select`."""
        return {one.name: getattr(self, one.name) for one in fields(SelectionSettings)}
