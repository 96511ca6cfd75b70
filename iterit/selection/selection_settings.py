"""Holds how rows are picked: one object in Python, on the command line and in a saved run."""

from collections.abc import Mapping
from dataclasses import dataclass

from debias.settings import Settings, setting
from iterit.selection.modes import MODES


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
    quotas : mapping of source to int or float, optional
        The most rows of a source, as a number of rows (int) or a share of the picks (float).
    seed : int, default=0
        For the mode "random".

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
    """

    mode: str = setting("published", "What the picks maximise.", one_of=tuple(MODES))
    decay: float = setting(
        0.1, "Factor of a pick on the weights of its n-grams: 0.1, or 0 for one domain.", least=0, most=1
    )
    min_ifd: float | None = setting(None, "Exclude records with a lower IFD.")
    max_ifd: float | None = setting(1.0, "Exclude records with this IFD or a higher one.")
    tokens: str = setting(
        "unicode",
        "How answers are cut into words: unicode (every script), or published (words of two or more "
        "letters between spaces).",
        one_of=("unicode", "published"),
    )
    quotas: Mapping[str, float] | None = setting(None, "The most picks of a source.")
    seed: int = setting(0, "Seed of everything that is drawn at random.", least=0)
