"""Plants records of known worth in a copy of a pool: swapped answers, near copies, other languages, sums.

A pick that takes them cannot tell what teaches. Each replaces a record of the pool, so that the number
of records stays; its answer has about the length of the one it replaces, so that length tells nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from debias.errors import RecordsError
from debias.rows.json_rows import row_of_value
from debias.settings import Settings, setting
from iterit.records.instruction_records import Record, Records
from iterit.records.planting.foreign_sentences import LANGUAGES, foreign_pair
from iterit.records.record_columns import RecordColumns
from iterit.row_numbers import RowArray

SWAPPED, COPY, FOREIGN, SUM = "swapped answer", "near copy", "another language", "wrong sum"
KINDS = (SWAPPED, COPY, FOREIGN, SUM)
"""What is planted."""
SOUND = ""
"""The kind of a record that is as it was."""
FIELD = "planted"
"""The field of a written pool that says what was planted."""

_CHANGED = 0.15
"""Share of the words of an answer that a near copy leaves out."""


@dataclass(frozen=True)
class PlantingSettings(Settings):
    """How much of each kind is planted.

    Parameters
    ----------
    swapped, copies, foreign, sums : float
        Shares of the pool.
    seed : int, default=0

    Raises
    ------
    ParameterError
        A share is not allowed.

    Examples
    --------
    >>> PlantingSettings().shares
    {'swapped answer': 0.1, 'near copy': 0.1, 'another language': 0.1, 'wrong sum': 0.05}
    """

    swapped: float = setting(0.1, "Share of records whose answers are swapped.", least=0, most=0.5)
    copies: float = setting(0.1, "Share of records replaced by near copies of others.", least=0, most=0.25)
    foreign: float = setting(0.1, "Share of records in another language.", least=0, most=0.25)
    sums: float = setting(0.05, "Share of records with a wrong sum.", least=0, most=0.2)
    seed: int = setting(0, "Random seed.", least=0)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind."""
        return dict(zip(KINDS, (self.swapped, self.copies, self.foreign, self.sums), strict=True))


@dataclass(frozen=True, eq=False)
class PlantedPool:
    """A copy of a pool in which some records were replaced.

    Attributes
    ----------
    records : Records
        As conversations, each with the source that it had, and the field ``planted``.
    kinds : ndarray of str, shape (n_records,)
        What was planted in each row, "" where it is as it was.
    """

    records: Records
    kinds: npt.NDArray[np.object_]

    def shares(self, rows: RowArray) -> dict[str, float]:
        """Return the share of each kind among some rows.

        Examples
        --------
        >>> pool = Records.from_rows([{"question": f"{n}?", "answer": "yes it is"} for n in range(40)])
        >>> plant(pool).shares(np.arange(40))
        {'swapped answer': 0.1, 'near copy': 0.1, 'another language': 0.1, 'wrong sum': 0.05}
        """
        own = self.kinds[rows]
        return {kind: float((own == kind).mean()) if len(own) else float("nan") for kind in KINDS}


def plant(pool: Records, settings: PlantingSettings | None = None) -> PlantedPool:
    """Plant records of known worth in a copy of a pool.

    Parameters
    ----------
    pool : Records
        It stays as it is.
    settings : PlantingSettings, optional

    Returns
    -------
    PlantedPool
        The same for the same pool and seed.

    Raises
    ------
    RecordsError
        The pool is too small to plant one record of each kind.

    Examples
    --------
    >>> pool = Records.from_rows([{"question": f"{n}?", "answer": f"yes {n}"} for n in range(40)])
    >>> planted = plant(pool)
    >>> len(planted.records), int((planted.kinds == "wrong sum").sum())
    (40, 2)
    """
    settings = settings or PlantingSettings()
    n = len(pool)
    counts = {kind: round(share * n) for kind, share in settings.shares.items()}
    if counts[SWAPPED] == 1:
        counts[SWAPPED] = 2  # two records exchange their answers
    if any(share and not counts[kind] for kind, share in settings.shares.items()):
        least = int(np.ceil(0.5 / min(share for share in settings.shares.values() if share))) + 1
        raise RecordsError(
            f"{n:,} records are too few to plant every kind", received=n, allowed=f"at least {least}"
        )
    random = np.random.default_rng([settings.seed, n])
    order = random.permutation(n)
    ends = np.cumsum(list(counts.values()))
    places = dict(zip(counts, np.split(order[: ends[-1]], ends[:-1]), strict=True))
    kinds = np.full(n, SOUND, dtype=object)
    for kind, rows in places.items():
        kinds[rows] = kind
    every = list(pool)
    answers = _exchanged(every, places[SWAPPED])
    sound = np.sort(order[ends[-1] :])
    originals = dict(
        zip(places[COPY].tolist(), random.choice(sound, len(places[COPY])).tolist(), strict=True)
    )
    planted: list[dict[str, object]] = []
    for row, record in enumerate(every):
        kind = str(kinds[row])
        if kind == SWAPPED:
            content = _with_answer(record, answers[row])
        elif kind == COPY:
            original = every[originals[row]]
            content = _with_answer(original, _nearly(_answer(original), random))
        elif kind in (FOREIGN, SUM):
            content = _pair(*_made(kind, len(_answer(record).split()), random))
        else:
            content = _messages(record)
        planted.append({"messages": content, "source": record.source, FIELD: kind})
    return PlantedPool(_records(planted), kinds)


def planted_of(records: Records) -> PlantedPool | None:
    """Return a pool that was planted, written and read again; None where it was not planted.

    Examples
    --------
    >>> pool = plant(Records.from_rows([{"question": f"{n}?", "answer": f"yes {n}"} for n in range(40)]))
    >>> read = Records.from_rows([pool.records.original(row) for row in range(40)])
    >>> bool((planted_of(read).kinds == pool.kinds).all())
    True
    """
    kinds = [records.original(row).get(FIELD) for row in range(len(records))]
    if not any(kind in KINDS for kind in kinds):
        return None
    return PlantedPool(records, np.array([k if k in KINDS else SOUND for k in kinds], dtype=object))


def _records(rows: Sequence[Mapping[str, object]]) -> Records:
    """Make records of conversations that keep the sources they had."""
    columns = RecordColumns("messages", None, None, "source")
    columns.add_rows("rows", (row_of_value(n, row) for n, row in enumerate(rows, 1)), "rows")
    return Records(columns.kept.table(), columns.refused.table(), columns.format)


def _messages(record: Record) -> list[dict[str, object]]:
    """Return a conversation as rows of messages hold it."""
    found: list[dict[str, object]] = []
    for message in record.messages:
        one: dict[str, object] = {"role": message.role, "content": message.content, **message.others}
        if message.tool_calls:
            one["tool_calls"] = list(message.tool_calls)
        if message.is_answer and not message.is_trained:
            one["train"] = False
        found.append(one)
    return found


def _answer(record: Record) -> str:
    """Return the last answer that is trained."""
    return [m.content for m in record.messages if m.is_answer and m.is_trained][-1]


def _with_answer(record: Record, answer: str) -> list[dict[str, object]]:
    """Return a conversation whose last trained answer is another one."""
    messages = _messages(record)
    place = max(n for n, m in enumerate(record.messages) if m.is_answer and m.is_trained)
    messages[place] = {"role": "assistant", "content": answer}
    return messages[: place + 1]


def _pair(question: str, answer: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _exchanged(records: Sequence[Record], rows: RowArray) -> dict[int, str]:
    """Exchange answers of about the same length, none of which stays or equals what it replaces."""
    ranked = sorted(rows.tolist(), key=lambda row: (len(_answer(records[row])), row))
    answers = [_answer(records[row]) for row in ranked]
    n, taken = len(ranked), list(range(len(ranked)))
    # invariant: `taken` is a permutation; the places before `place` have another answer than their own,
    # as far as there is one that can be exchanged for it
    for place in range(0, n - 1, 2):
        taken[place], taken[place + 1] = taken[place + 1], taken[place]
    if n % 2 and n > 1:
        taken[n - 1], taken[n - 2] = taken[n - 2], taken[n - 1]
    for place in range(n):
        if answers[taken[place]] != answers[place]:
            continue
        for other in range(n):
            if answers[taken[other]] != answers[place] and answers[taken[place]] != answers[other]:
                taken[place], taken[other] = taken[other], taken[place]
                break
    return {row: answers[taken[place]] for place, row in enumerate(ranked)}


def _nearly(answer: str, random: np.random.Generator) -> str:
    """Leave out a few words of an answer; a single word is repeated."""
    words = answer.split(" ")
    kept = [word for word in words if random.random() >= _CHANGED]
    if not kept or len(words) < 3:
        return f"{answer} {words[-1]}"
    return " ".join(kept) if len(kept) < len(words) else " ".join(words[:-1])


def _made(kind: str, n_words: int, random: np.random.Generator) -> tuple[str, str]:
    """Return a question and an answer of a planted kind."""
    if kind == FOREIGN:
        return foreign_pair(list(LANGUAGES)[random.integers(len(LANGUAGES))], n_words, random)
    return wrong_sum(n_words, random)


def wrong_sum(n_words: int, random: np.random.Generator) -> tuple[str, str]:
    """Return a question for sums and an answer of about so many words in which every sum is wrong.

    Parameters
    ----------
    n_words : int
    random : numpy Generator

    Returns
    -------
    question, answer : str

    Examples
    --------
    >>> wrong_sum(6, np.random.default_rng(0))
    ('What is 85 + 67?', 'The sum of 85 and 67 is 158.')
    """
    said: list[str] = []
    asked: list[str] = []
    while not said or len(" ".join(said).split()) < n_words:
        a, b = (int(number) for number in random.integers(11, 99, 2))
        off = int(random.integers(1, 12)) * (1 if random.random() < 0.5 else -1)
        asked.append(f"{a} + {b}")
        said.append(f"The sum of {a} and {b} is {a + b + off}.")
    return f"What is {', '.join(asked)}?", " ".join(said)
