"""Holds how rows are picked: one object in Python, on the command line and in a saved run."""

from collections.abc import Mapping
from dataclasses import dataclass

from debias.errors import ParameterError
from debias.settings import Settings, setting
from iterit.selection.modes import DIVERSITIES, MODES, Mode, mode_called


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """How rows are picked.

    Parameters
    ----------
    mode : str, default="published"
        See :data:`iterit.selection.modes.MODES`.
    decay : float, default=0.1
        Factor by which a pick multiplies the weights of its n-grams: lambda of the paper, 0.1 for
        general data, 0 for one domain.
    min_ifd, max_ifd : float, optional
        Only rows with ``min_ifd <= IFD < max_ifd`` are picked.
    tokens : {"unicode", "published"}, default="unicode"
        How answers are cut into words, see :func:`iterit.ngrams.word_kinds.word_kind`.
    quotas, floors : mapping of source to int or float, optional
        The most and the least rows of a source, as a number of rows (int) or a share of the picks (float).
    seed : int, default=0
        For the mode "random".
    match_length : bool, default=False
        Pick within strata of answer tokens, so that the picks are as long as the records and no mode
        wins by length, see :mod:`iterit.selection.limits.strata`.
    diversity : {"ngrams", "vectors", "none"}, optional
        What rows are compared by in the modes "banded", "influence" and "learnable"; the mode's own by
        default.
    low_quantile, high_quantile : float, default=0.25, 0.75
        For the mode "banded": only rows between these quantiles of the IFDs within the bounds are picked.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> SelectionSettings(decay=0.5).mode
    'published'
    >>> SelectionSettings.of(decya=0.5)
    Traceback (most recent call last):
    debias.errors.ParameterError: there is no parameter 'decya'; did you mean 'decay'?
    >>> SelectionSettings(mode="banded", low_quantile=0.8)
    Traceback (most recent call last):
    debias.errors.ParameterError: low_quantile must be less than high_quantile, 0.75, got 0.8.
    """

    mode: str = setting("published", "What the picks maximise.", one_of=tuple(MODES))
    decay: float = setting(
        0.1,
        "Factor by which a pick multiplies the weights of its n-grams: 0.1, or 0 for a single domain.",
        least=0,
        most=1,
    )
    min_ifd: float | None = setting(None, "Exclude records with a lower IFD.")
    max_ifd: float | None = setting(1.0, "Exclude records with this IFD or higher.")
    tokens: str = setting(
        "unicode",
        "How answers are split into words: unicode (any script), or published (words of two or more letters "
        "between spaces).",
        one_of=("unicode", "published"),
    )
    quotas: Mapping[str, float] | None = setting(None, "The maximum number of picks from a source.")
    seed: int = setting(0, "Random seed.", least=0)
    match_length: bool = setting(
        False, "Pick within strata of answer tokens, so that picks have the same lengths as all records."
    )
    diversity: str | None = setting(
        None,
        "How records are compared, for the modes banded, influence and learnable.",
        one_of=DIVERSITIES,
    )
    low_quantile: float = setting(
        0.25, "For --mode banded: IFD quantile at which the band begins.", least=0, most=1
    )
    high_quantile: float = setting(
        0.75, "For --mode banded: IFD quantile at which the band ends.", least=0, most=1
    )
    floors: Mapping[str, float] | None = setting(None, "The minimum number of picks from a source.")

    def __post_init__(self) -> None:
        super().__post_init__()
        mode_called(self.mode, self.diversity)
        if self.low_quantile >= self.high_quantile:
            allowed = f"less than high_quantile, {self.high_quantile:g}"
            raise ParameterError(parameter="low_quantile", received=self.low_quantile, allowed=allowed)

    @property
    def how(self) -> Mode:
        """The mode, with the diversity that was chosen."""
        return mode_called(self.mode, self.diversity)
