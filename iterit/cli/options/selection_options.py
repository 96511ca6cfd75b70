"""The options that say how many records are picked, by what, from which."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.screen import print_lines
from debias.errors import ParameterError, param
from debias.settings import Settings, setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from iterit.ngrams.ngram_counts import NgramCounts
    from iterit.records.instruction_records import Records

NGRAMS = "ngrams"
RULES = (
    "mode", "decay", "min_ifd", "max_ifd", "tokens", "match_length", "diversity", "low_quantile",
    "high_quantile",
)  # fmt: skip
"""Settings of a selection that are options of the commands."""
_DIMENSIONS = 128

_SIGNALS = {
    "influence": ("query", "values"),
    "learnable": ("held_out", "values"),
    "representation": ("query",),
}
"""Options of :class:`SignalOptions` that a mode picks by, one of them."""

Quota = Annotated[
    list[str] | None,
    typer.Option(
        "--quota", metavar="SOURCE=SHARE", help="Pick at most this share from a source; may be repeated."
    ),
]


Floor = Annotated[
    list[str] | None,
    typer.Option(
        "--floor", metavar="SOURCE=SHARE", help="Pick at least this share from a source; may be repeated."
    ),
]


@dataclass(frozen=True)
class PickOptions(Settings):
    """How many records are picked, from which, and what they are compared by."""

    ratio: float = setting(0.05, "Share of the records to pick.")
    embeddings: str = setting(
        NGRAMS,
        "Embeddings of answers, for --mode facility_location or --diversity vectors: ngrams (needs no "
        "model), or the name of a model.",
        metavar="NAME",
    )
    threshold: float | None = setting(
        None,
        "First exclude answers that share at least this fraction of their n-grams with an earlier one, such "
        "as 0.8.",
        option="--drop-copies",
    )

    def candidates(self, records: "Records") -> "npt.NDArray[np.int64]":
        """Return the rows that are not near copies of earlier ones."""
        import numpy as np

        from iterit.selection.near_duplicates import near_duplicates

        if self.threshold is None:
            return np.arange(len(records))
        found = near_duplicates(records.responses, threshold=self.threshold)
        kinds = found.table["kind"].value_counts()
        print_lines([f"Excluded as copies: {kinds.get('exact', 0):,} exact, {kinds.get('near', 0):,} near."])
        return found.kept

    def vectors(
        self, records: "Records", counts: "NgramCounts | None" = None, tokens: str = "unicode"
    ) -> "npt.NDArray[np.float32]":
        """Return vectors of the answers.

        Parameters
        ----------
        records : Records
        counts : NgramCounts, optional
            Of the answers, where they are at hand.
        tokens : str, default="unicode"
            How answers are cut into words, where they are not.

        Raises
        ------
        ModelError
            The model cannot be loaded.
        """
        from iterit.ngrams.ngram_counts import count_ngrams
        from iterit.selection.embeddings import ngram_embeddings, sentence_embeddings

        if self.embeddings != NGRAMS:
            return sentence_embeddings(records.responses, self.embeddings)
        counts = counts or count_ngrams(records.responses, tokens=tokens)
        return ngram_embeddings(counts, min(_DIMENSIONS, counts.n_columns - 1))

    def needs_vectors(self, mode: str, diversity: str | None = None) -> bool:
        """Tell whether a mode picks by vectors of the answers.

        Raises
        ------
        ParameterError
            It does not, and a model that makes them was named.
        """
        from iterit.selection.modes import mode_called

        needed = mode_called(mode, diversity).diversity == "vectors"
        if not needed and self.embeddings != NGRAMS:
            raise ParameterError(
                f"{param('embeddings')} only applies to {param('mode', 'facility_location')} and "
                f"{param('diversity', 'vectors')}",
                parameter="embeddings",
                received=self.embeddings,
                fix="omit it",
            )
        return needed


@dataclass(frozen=True)
class SignalOptions(Settings):
    """What the modes influence, learnable and representation pick by."""

    query: Path | None = setting(
        None, "Examples of what the model should learn, for --mode influence or representation."
    )
    held_out: Path | None = setting(
        None,
        "Other records, for --mode learnable: picks are records whose loss falls after training on these.",
    )
    values: Path | None = setting(
        None,
        "Values of the records from any tool, for --mode influence or learnable: a table with the column "
        "value and either digest or row.",
    )

    def check(self, mode: str) -> None:
        """Refuse a mode without what it picks by, and what it does not pick by.

        Raises
        ------
        ParameterError
            One is missing, or one too many.

        Examples
        --------
        >>> SignalOptions(query=Path("task.jsonl")).check("influence")
        >>> SignalOptions().check("influence")
        Traceback (most recent call last):
        debias.errors.ParameterError: mode=influence needs query or values, but none was ...
        """
        may = _SIGNALS.get(mode, ())
        given = [one.name for one in fields(self) if getattr(self, one.name) is not None]
        for name in given:
            if name not in may:
                modes = ", ".join(param("mode", one) for one, names in _SIGNALS.items() if name in names)
                raise ParameterError(
                    f"{param(name)} only applies to {modes}",
                    parameter=name,
                    received=str(getattr(self, name)),
                    fix="omit it",
                )
        if may and len(given) != 1:
            raise ParameterError(
                f"{param('mode', mode)} needs {' or '.join(map(param, may))}, but "
                f"{'both were given' if given else 'none was given'}",
                parameter=may[0],
                received=len(given),
                fix="pass one of them" if len(may) > 1 else "pass it",
            )


def pool_lengths(
    records: "Records",
    candidates: "npt.NDArray[np.int64]",
    model: str,
    template: str,
    scores: "pd.DataFrame | None",
) -> "npt.NDArray[np.float64]":
    """Return the answer tokens of the records that may be picked, NaN for the others.

    Parameters
    ----------
    records : Records
    candidates : int64 array
    model : str
        Its tokenizer counts, without the model, where there are no scores that know.
    template : str
    scores : DataFrame, optional
        Indexed by row.

    Returns
    -------
    float64 array, shape (n_records,)
        Words, where the tokenizer cannot be loaded: a line says so.
    """
    import numpy as np

    from debias.errors import DebiasError
    from debias.inference.models.loading import load_tokenizer
    from iterit.templates.named_templates import template_for

    if scores is not None and "n_tokens" in scores:
        tokens = scores["n_tokens"].to_numpy(dtype=np.float64)
    else:
        try:
            encoded = template_for(load_tokenizer(model), template).encode_all(records)
            tokens = np.array([sum(span.stop - span.start for span in one.spans) for one in encoded], float)
        except DebiasError as error:
            print_lines([f"Lengths are measured in words, not in tokens of {model}: {error}"])
            tokens = np.array([len(text.split()) for text in records.responses], dtype=float)
    lengths = np.full(len(records), np.nan)
    lengths[candidates] = np.where(tokens[candidates] > 0, tokens[candidates], np.nan)
    return lengths


def limits_of(words: list[str] | None, parameter: str) -> dict[str, float] | None:
    """Read quotas or floors of sources: a share of the picks, or a number of them.

    Examples
    --------
    >>> limits_of(["a.jsonl=0.5", "b=20"], "quotas")
    {'a.jsonl': 0.5, 'b': 20}
    """
    found: dict[str, float] = {}
    for word in words or []:
        name, _, value = word.rpartition("=")
        if name in found:
            raise ParameterError(parameter=parameter, received=word, allowed="given once for each source")
        try:
            found[name] = int(value) if value.isdecimal() else float(value)
        except ValueError:
            name = ""
        if not name:
            raise ParameterError(
                parameter=parameter, received=word, allowed="SOURCE=SHARE, such as chat.jsonl=0.5"
            )
    return found or None
