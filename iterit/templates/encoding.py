"""Holds records as tokens: a sequence each with the places of its answers, many of them compactly."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from debias.errors import ParameterError

IGNORED = -100
"""Label of a token that is not trained on."""

TokenArray = NDArray[np.int32]


class Span(NamedTuple):
    """Place of an answer, in tokens of its sequence.

    Attributes
    ----------
    opening : int
        Begin of the turn's opening, which ends where the answer starts.
    start, stop : int
        First token of the answer, and the one after its last.
    """

    opening: int
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """A record as one sequence of tokens, from the beginning to the end of its last answer.

    Parameters
    ----------
    tokens : int32 array
        Cut at the end where there were too many.
    spans : tuple of Span
        The answers, as far as they are not cut.
    is_truncated : bool
        Whether a token of an answer was cut.
    n_leading : int
        Tokens that open every text of this tokenizer.
    """

    tokens: TokenArray
    spans: tuple[Span, ...]
    is_truncated: bool = False
    n_leading: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of all answers."""
        return sum(span.stop - span.start for span in self.spans)

    @property
    def input_ids(self) -> list[int]:
        """Tokens as a list."""
        return self.tokens.tolist()

    @property
    def labels(self) -> list[int]:
        """Labels of training: the tokens of the answers, and -100 elsewhere.

        Examples
        --------
        >>> Encoded(np.array([7, 8, 9, 5], np.int32), (Span(1, 2, 4),)).labels
        [-100, -100, 9, 5]
        """
        labels = np.full(len(self.tokens), IGNORED)
        for span in self.spans:
            labels[span.start : span.stop] = self.tokens[span.start : span.stop]
        return labels.tolist()

    def direct(self, span: Span) -> list[int]:
        """Return the tokens before an answer that is scored with the turn's opening alone."""
        return [*self.tokens[: self.n_leading].tolist(), *self.tokens[span.opening : span.start].tolist()]

    def cut(self, max_tokens: int) -> "Encoded":
        """Return the first tokens, as training cuts a sequence that is too long.

        Examples
        --------
        >>> whole = Encoded(np.arange(6, dtype=np.int32), (Span(1, 2, 3), Span(3, 4, 6)))
        >>> [(part.spans, part.is_truncated) for part in (whole.cut(6), whole.cut(4))]
        [((Span(opening=1, start=2, stop=3), Span(opening=3, start=4, stop=6)), False),
         ((Span(opening=1, start=2, stop=3),), True)]
        """
        if len(self) <= max_tokens:
            return self
        spans = tuple(span._replace(stop=min(span.stop, max_tokens)) for span in self.spans)
        left = tuple(span for span in spans if span.start < span.stop)
        return Encoded(self.tokens[:max_tokens], left, left != self.spans, self.n_leading)


class EncodedRecords(Sequence[Encoded]):
    """Sequences of many records in a few arrays, each found by the record's row.

    Parameters
    ----------
    rows : sequence of int, length n
        Row of each record.
    encoded : iterable of Encoded, length n
        Read one by one, so that only the arrays are held.
    fingerprint : str
        Fingerprint of the template that made them.
    refused : mapping of int to str, optional
        Rows that the template cannot take, with the reason; their sequences are empty.
    """

    def __init__(
        self,
        rows: ArrayLike,
        encoded: Iterable[Encoded],
        fingerprint: str = "",
        refused: Mapping[int, str] | None = None,
    ) -> None:
        self.rows = np.asarray(rows, dtype=np.int64)
        self.refused = {} if refused is None else refused
        self.fingerprint = fingerprint
        tokens, spans = array("i"), array("i")
        ends, span_ends, truncated = array("q", [0]), array("q", [0]), bytearray()
        self._n_leading = 0
        for one in encoded:
            tokens.frombytes(one.tokens.astype(np.int32, copy=False).tobytes())
            spans.extend(chain.from_iterable(one.spans))
            ends.append(len(tokens))
            span_ends.append(len(spans) // 3)
            truncated.append(one.is_truncated)
            self._n_leading = one.n_leading
        self._tokens: TokenArray = np.frombuffer(tokens, np.int32) if tokens else np.empty(0, np.int32)
        self._ends, self._span_ends = np.frombuffer(ends, np.int64), np.frombuffer(span_ends, np.int64)
        self._spans = np.array(spans, np.int32).reshape(-1, 3)
        self._truncated = np.frombuffer(bytes(truncated), np.uint8).astype(bool)
        self._by_row = np.argsort(self.rows, kind="stable")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Encoded:  # type: ignore[override]
        place = range(len(self))[place]
        spans = self._spans[self._span_ends[place] : self._span_ends[place + 1]]
        return Encoded(
            self._tokens[self._ends[place] : self._ends[place + 1]],
            tuple(Span(*map(int, span)) for span in spans),
            bool(self._truncated[place]),
            self._n_leading,
        )

    def __iter__(self) -> Iterator[Encoded]:
        return (self[place] for place in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence."""
        return np.diff(self._ends)

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """Whether a token of an answer was cut, for each sequence."""
        return self._truncated

    @property
    def n_answers(self) -> NDArray[np.int64]:
        """Answers of each sequence, as far as they are not cut."""
        return np.diff(self._span_ends)

    @property
    def largest_token(self) -> int:
        """The largest token of all sequences, -1 where there is none."""
        return int(self._tokens.max(initial=-1))

    def of(self, row: int) -> Encoded:
        """Return the sequence of a record by its row.

        Raises
        ------
        ParameterError
            The record was not encoded.
        """
        place = int(np.searchsorted(self.rows, row, sorter=self._by_row))
        if place == len(self) or self.rows[self._by_row[place]] != row:
            allowed = f"one of the {len(self)} encoded rows"
            raise ParameterError(parameter="row", received=row, allowed=allowed)
        return self[int(self._by_row[place])]
