"""Turns a record into the text and the tokens that a model is trained on and scored on.

A record is tokenised once, as one text. Its answers are found by the tokenizer's offsets: a token
that straddles the border of an answer belongs to the answer.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from debias.errors import ParameterError, RecordsError
from debias.inference.collection.answer_store import digest
from debias.inference.tokenization import Tokenization
from debias.rows.json_rows import to_json
from debias.settings import check_positive_integer
from iterit.records.chat_messages import Message
from iterit.records.instruction_records import Record, Records
from iterit.templates.encoding import Encoded, EncodedRecords, Span

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

_TEXTS_AT_ONCE = 512


class Borders(NamedTuple):
    """Place of an answer in its text, in characters: the turn's opening, then the answer."""

    opening: int
    start: int
    stop: int


@dataclass(frozen=True)
class Turn:
    """One answer and the text before it.

    Parameters
    ----------
    prompt : str
        All text before the answer.
    opening : str
        The template's opening of an assistant's turn: the text before the answer when it is scored
        without its question.
    answer : str
        The answer with the text that ends the turn.
    """

    prompt: str
    opening: str
    answer: str


class Template(ABC):
    """Turns records into text and tokens; the same in scoring and in training.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast one, which has offsets.

    Attributes
    ----------
    opening, ending : str
        Texts that open and end an assistant's turn.

    Raises
    ------
    ParameterError
        The tokenizer is not fast.
    """

    name = ""
    opening = ""
    ending = ""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        if not getattr(tokenizer, "is_fast", False):
            allowed = "a fast tokenizer (of the tokenizers library), which has offsets"
            raise ParameterError(parameter="tokenizer", received=tokenizer, allowed=allowed)
        self.tokenizer = tokenizer
        self.tokenization = Tokenization(tokenizer)
        self._leading = list(self.tokenization.leading)
        self._before = ""

    @abstractmethod
    def layout(self, record: Record) -> tuple[str, list[Borders]]:
        """Return the text of a record up to the end of its last answer, and the places of its answers.

        Returns
        -------
        text : str
            Without the tokens that open every text.
        borders : list of Borders
            Place of every answer that is not only white space, in order.

        Raises
        ------
        RecordsError
            The template cannot take this record.
        """

    @property
    @abstractmethod
    def _words(self) -> object:
        """Whatever else decides the text."""

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what decides the tokens: template and vocabulary."""
        return digest(to_json([self.name, self._words, self._leading, self.tokenization.digest])).hex()

    def turns(self, record: Record, max_tokens: int | None = None) -> list[Turn]:
        """Return the answers of a record, each with the text before it.

        Answers of white space only are omitted.

        Parameters
        ----------
        record : Record
        max_tokens : int, optional
            A longer text is cut after this number of tokens, between two characters.

        Raises
        ------
        RecordsError
            The template cannot take this record.
        """
        text, borders = self.layout(record)
        end = len(text) if max_tokens is None else self._end(text, max_tokens)
        return [
            Turn(
                self._before + text[:start], self._before + text[opening:start], text[start : min(stop, end)]
            )
            for opening, start, stop in borders
            if start < end
        ]

    def _end(self, text: str, max_tokens: int) -> int:
        """Return the end of a text that has at most `max_tokens` tokens and no part of a character."""
        offsets = self.tokenizer([text], add_special_tokens=False, verbose=False).encodings[0].offsets
        last = max_tokens - len(self._leading)
        if last >= len(offsets):
            return len(text)
        while last > 0 and offsets[last][0] < offsets[last - 1][1]:
            last -= 1
        return int(offsets[last - 1][1]) if last > 0 else 0

    def encode(self, record: Record, max_tokens: int | None = None) -> Encoded:
        """Return a record as tokens; a sequence longer than `max_tokens` is cut at its end.

        Raises
        ------
        RecordsError
            The template cannot take this record.
        """
        return next(self._encoded([record], max_tokens))

    def encode_all(
        self, records: Records, rows: ArrayLike | None = None, max_tokens: int | None = None
    ) -> EncodedRecords:
        """Return many records as tokens, held compactly, to be scored and trained on.

        A record that the template cannot take has no answer there; ``refused`` of the result has the reason.

        Parameters
        ----------
        records : Records
        rows : sequence of int, optional
            All by default.
        max_tokens : int, optional
            Longer sequences are cut at their ends.

        Raises
        ------
        ParameterError
            `max_tokens` is not allowed.
        """
        numbers = np.arange(len(records)) if rows is None else np.asarray(rows, dtype=np.int64)
        chosen = records if rows is None else (records[int(row)] for row in numbers)
        refused: dict[int, str] = {}
        encoded = self._encoded(chosen, max_tokens, refused)
        return EncodedRecords(numbers, encoded, self.fingerprint, refused)

    def _encoded(
        self, records: Iterable[Record], max_tokens: int | None, refused: dict[int, str] | None = None
    ) -> Iterator[Encoded]:
        """Tokenise some hundred texts at a time; records that cannot be rendered go to `refused`."""
        check_positive_integer("max_tokens", max_tokens, or_none=True)
        layouts = (self._layout_or_none(record, refused) for record in records)
        while some := list(islice(layouts, _TEXTS_AT_ONCE)):
            batch = self.tokenizer([text for text, _ in some], add_special_tokens=False, verbose=False)
            for encoding, (_, borders) in zip(batch.encodings, some, strict=True):
                whole = self._with_spans(encoding, borders)
                yield whole if max_tokens is None else whole.cut(max_tokens)

    def _layout_or_none(self, record: Record, refused: dict[int, str] | None) -> tuple[str, list[Borders]]:
        """Return the layout of a record, or an empty one where it is refused."""
        try:
            return self.layout(record)
        except RecordsError as error:
            if refused is None:
                raise
            refused[record.row] = str(error.problem)
            return "", []

    def _with_spans(self, encoding: "Encoding", borders: Sequence[Borders]) -> Encoded:
        """Find answers by the offsets of the tokens."""
        offsets, shift = encoding.offsets, len(self._leading)

        def ending_after(character: int) -> int:
            return bisect_right(offsets, character, key=lambda offset: offset[1]) + shift

        def starting_at(character: int) -> int:
            return bisect_left(offsets, character, key=lambda offset: offset[0]) + shift

        spans = [
            Span(ending_after(one.opening), ending_after(one.start), starting_at(one.stop)) for one in borders
        ]
        # An answer has no tokens before its ending where the tokenizer omits all of its characters.
        ends = [starting_at(one.stop - len(self.ending)) for one in borders]
        filled = tuple(span for span, end in zip(spans, ends, strict=True) if span.start < end)
        tokens = np.array(self._leading + encoding.ids, dtype=np.int32)
        return Encoded(tokens, filled, False, shift)


def answered_places(messages: Sequence[Message]) -> list[int]:
    """Return the places of the answers that are trained: not only white space, and not kept out.

    Examples
    --------
    >>> answered_places([Message("user", "a"), Message("assistant", "b"), Message("assistant", " ")])
    [1]
    """
    return [n for n, message in enumerate(messages) if message.is_answer and message.is_trained]


def check_some_taken(refused: Mapping[int, str], n_records: int) -> None:
    """Raise RecordsError where a template refuses every one of some records.

    Examples
    --------
    >>> check_some_taken({3: "the template has no place for tools"}, 1)
    Traceback (most recent call last):
    debias.errors.RecordsError: row 3: the template has no place for tools; use another template.
    """
    if refused and len(refused) == n_records:
        row, problem = next(iter(refused.items()))
        raise RecordsError(problem, row=row, fix="use another template")


def refusals_told(refused: Mapping[int, str], where: str = "") -> str:
    """Return how many records a template refused and why, a sentence for people; empty where it took all.

    Examples
    --------
    >>> refusals_told({3: "it has no place for tools", 8: "it has no place for tools"})
    '2 records were refused by the template: it has no place for tools.'
    """
    if not refused:
        return ""
    counts = Counter(refused.values()).most_common(3)
    numbered = ", ".join(f"{n:,} {reason}" for reason, n in counts)
    reasons = counts[0][0] if counts[0][1] == len(refused) else numbered
    records = "1 record was" if len(refused) == 1 else f"{len(refused):,} records were"
    return f"{records} refused by the template: {reasons}{f'; {where}' if where else ''}."


def cuts_told(encoded: EncodedRecords, rows: ArrayLike, limit: int | None) -> str:
    """Return how many records lose a part of their answers, a sentence for people; empty where none does.

    Parameters
    ----------
    encoded : EncodedRecords
        All records, in order.
    rows : sequence of int
        Records that take part.
    limit : int or None
        Most tokens of a record.

    Examples
    --------
    >>> whole = Encoded(np.arange(6, dtype=np.int32), (Span(0, 2, 6),))
    >>> cuts_told(EncodedRecords([0, 1], [whole.cut(4), whole]), [0, 1], 4)
    'of 2 records, the answers of 1 are cut at the end: with their questions they have more than 4 tokens'
    """
    places = np.asarray(rows, dtype=np.int64)
    cut, left = encoded.truncated[places], encoded.n_answers[places] > 0
    n_cut, n_gone = int((cut & left).sum()), int((cut & ~left).sum())
    if not (n_cut or n_gone):
        return ""
    cut_told = [f"the answers of {n_cut:,} are cut at the end"] if n_cut else []
    cut_told += [f"{'those' if n_cut else 'the answers'} of {n_gone:,} are cut off whole"] if n_gone else []
    told = " and ".join(cut_told)
    return f"of {len(places):,} records, {told}: with their questions they have more than {limit:,} tokens"
