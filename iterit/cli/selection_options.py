"""What ``iterit select`` and ``iterit train`` take about picking: how many, by what, from which."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.console.screen import print_lines
from debias.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from iterit.ngrams.ngram_counts import NgramCounts
    from iterit.records.instruction_records import Records

Ratio = Annotated[float, typer.Option(help="Share of the records to pick.")]
ModeOption = Annotated[
    str,
    typer.Option(
        help="published (IFD * sum of n-gram weights), length_neutral, length_debiased, complexity,"
        " diversity, random, longest or facility_location (answers that others are near to)."
    ),
]
Decay = Annotated[
    float,
    typer.Option(help="What a pick leaves of its n-grams' weight: 0.1 for general data, 0 for one domain."),
]
MinIfd = Annotated[float | None, typer.Option(help="Pick no record below this IFD.")]
MaxIfd = Annotated[float, typer.Option(help="Pick no record of this IFD or above.")]
Quota = Annotated[
    list[str] | None,
    typer.Option(metavar="SOURCE=SHARE", help="At most this share of the picks from a source; repeatable."),
]
NearCopiesOption = Annotated[
    float | None,
    typer.Option(
        "--drop-copies",
        help="First leave out answers that share so much of their n-grams with an earlier one: 0.8, say.",
    ),
]
EmbeddingsOption = Annotated[
    str,
    typer.Option(
        "--embeddings",
        metavar="NAME",
        help="Vectors of answers for --mode facility_location: ngrams (needs no model), or a model by name.",
    ),
]
NGRAMS = "ngrams"
_DIMENSIONS = 128


def quotas_of(words: list[str] | None) -> dict[str, float | int] | None:
    """Read quotas of sources: a share of the picks, or a number of them.

    Examples
    --------
    >>> quotas_of(["a.jsonl=0.5", "b=20"])
    {'a.jsonl': 0.5, 'b': 20}
    """
    if not words:
        return None
    found: dict[str, float | int] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            found[name] = int(value) if value.isdecimal() else float(value)
        except ValueError:
            name = ""
        if not name:
            raise ParameterError(f"--quota must be SOURCE=SHARE, such as chat.jsonl=0.5; got {word!r}")
    return found


def without_copies(records: "Records", threshold: float | None) -> "np.ndarray[Any, Any]":
    """Return the rows that are no near copies of earlier ones."""
    import numpy as np

    from iterit.selection.near_duplicates import near_duplicates

    if threshold is None:
        return np.arange(len(records))
    found = near_duplicates(records.responses, threshold=threshold)
    kinds = found.table["kind"].value_counts()
    print_lines([f"Left out as copies: {kinds.get('exact', 0):,} exact, {kinds.get('near', 0):,} near."])
    return found.kept


def needs_embeddings(mode: str, name: str) -> bool:
    """Whether a mode picks by vectors of the answers.

    Parameters
    ----------
    mode : str
    name : str
        "ngrams", or a model by name.

    Raises
    ------
    ParameterError
        The mode is unknown, or is given a model that it does not need.
    """
    from iterit.selection.modes import mode_called

    needed = "embeddings" in mode_called(mode).needs
    if not needed and name != NGRAMS:
        raise ParameterError(f"--embeddings is for --mode facility_location; the mode is {mode}")
    return needed


def embeddings_of(
    records: "Records", name: str, counts: "NgramCounts | None" = None
) -> "np.ndarray[Any, Any]":
    """Return vectors of the answers.

    Parameters
    ----------
    records : Records
    name : str
        "ngrams", or a model by name.
    counts : NgramCounts, optional
        Of the answers, where they are at hand.

    Raises
    ------
    ModelError
        The model cannot be loaded.
    """
    from iterit.ngrams.ngram_counts import count_ngrams
    from iterit.selection.embeddings import ngram_embeddings, sentence_embeddings

    if name != NGRAMS:
        return sentence_embeddings(records.responses, name)
    counts = counts or count_ngrams(records.responses)
    return ngram_embeddings(counts, min(_DIMENSIONS, counts.n_columns - 1))
