"""Rows with their votes, in order: every sampled answer is kept, and asked for once.

An answer is kept under its prompt and its number. So 8 votes after 4 ask for 4 more, other rules of
matching or smoothing ask for none, and a run that was stopped resumes within a row. Rows are asked
together in blocks that the rows alone decide, never the time or where a run stopped.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from debias.errors import EngineError
from debias.inference.collection.answer_store import Answer, AnswerStore, digest
from debias.inference.collection.prompts import Prompted
from debias.inference.collection.questions import (
    BYTES_PER_TOKEN,
    Answered,
    OtherRuns,
    lasting_facts,
)
from debias.inference.engine import MOST_OPERATIONS
from debias.inference.votes.sampling import Asked
from debias.inference.votes.vote_counts import smoothed
from debias.inference.votes.voting_engine import VotingEngine

_Ballot = tuple[bytes, Asked]
"""The key of one answer, and its prompt with its number alone."""


class VoteQuestions:
    """A voting engine, and what was asked of it.

    Parameters
    ----------
    engine : VotingEngine

    Attributes
    ----------
    asked : str
        Equal for runs whose answers are the same: the number of votes and the way to count are not in it.
    """

    def __init__(self, engine: VotingEngine) -> None:
        self._engine = engine
        self._before = digest(json.dumps(engine.asked, sort_keys=True))
        self.asked = self._before.hex()
        self._tally = engine.tally()

    def facts(self) -> dict[str, Any]:
        """Return what the table says of its votes."""
        known = self._engine.settings.described(self._engine.sampling)
        return {"n_votes": known["n_votes"], "votes": {**known, **self._tally.facts()}}

    def answer(
        self, rows: Iterable[Prompted], store: AnswerStore, others: OtherRuns, chunk_size: int
    ) -> Iterator[Answered]:
        """Yield all rows in their order, with smoothed frequencies.

        Parameters
        ----------
        rows : iterable of Prompted
        store : AnswerStore
            Where new answers go.
        others : OtherRuns
        chunk_size : int
            Rows that are asked together, at most.

        Yields
        ------
        Answered
            ``label_mass`` is the share of the answers that are votes.

        Raises
        ------
        EngineError
            The engine failed; what it answered before is saved.
        StorageError
            Answers cannot be saved.
        """
        for block in self._blocks(rows, chunk_size):
            ballots = [self._ballots(one.prompt) for one in block]
            keys = list(dict.fromkeys(key for own in ballots for key, _ in own))
            known = store.find(keys)
            found = others.find([key for key in keys if key not in known])
            known |= found
            missing = {key: one for own in ballots for key, one in own if key not in known}
            known |= self._ask(missing, store)
            yield self._answered(block, ballots, known, set(found))

    def _blocks(self, rows: Iterable[Prompted], chunk_size: int) -> Iterator[list[Prompted]]:
        """Yield rows that are asked together: a chunk, or what a slow processor does in two minutes."""
        per_byte = self._engine.operations_per_token() / BYTES_PER_TOKEN
        most = MOST_OPERATIONS / self._engine.sampling.max_tokens
        block: list[Prompted] = []
        n_bytes = 0
        for one in rows:
            block.append(one)
            n_bytes += len(one.row.text.encode("utf-8", "surrogatepass"))
            if len(block) >= chunk_size or n_bytes * per_byte >= most:
                yield block
                block, n_bytes = [], 0
        if block:
            yield block

    def _ballots(self, prompt: str) -> list[_Ballot]:
        """Return every answer that a row needs, with its key."""
        return [
            (digest(one.prompt, self._before + number.to_bytes(4, "big")), Asked(one.prompt, (number,)))
            for one in self._engine.asked_of(prompt)
            for number in one.numbers
        ]

    def _ask(self, missing: dict[bytes, Asked], store: AnswerStore) -> dict[bytes, Answer]:
        """Ask for what is missing, prompt by prompt, and save the answers."""
        if not missing:
            return {}
        numbers: dict[str, dict[int, bytes]] = {}
        for key, one in missing.items():
            numbers.setdefault(one.prompt, {})[one.numbers[0]] = key
        wanted = [Asked(prompt, tuple(sorted(own))) for prompt, own in numbers.items()]

        def save_some(position: int, texts: dict[int, str]) -> None:
            keys = numbers[wanted[position].prompt]
            some = [(keys[number], _bytes(text)) for number, text in texts.items()]
            store.add(some, lasting_facts(self._engine), durable=False)

        answers = self._engine.ask(wanted, save_some)
        values = {
            numbers[one.prompt][number]: _bytes(text)
            for one, texts in zip(wanted, _checked(answers, wanted), strict=True)
            for number, text in zip(one.numbers, texts, strict=True)
        }
        facts = lasting_facts(self._engine)
        store.add(values.items(), facts)
        return {key: Answer(value, json.dumps(facts)) for key, value in values.items()}

    def _answered(
        self,
        block: list[Prompted],
        ballots: Sequence[Sequence[_Ballot]],
        known: dict[bytes, Answer],
        from_others: set[bytes],
    ) -> Answered:
        """Return rows with the frequencies of their votes."""
        texts = [[known[key].value.decode("utf-8", "surrogatepass") for key, _ in own] for own in ballots]
        counts = self._tally.count(texts)
        return Answered(
            block,
            np.log(smoothed(counts, self._engine.settings.smoothing)),
            np.zeros(counts.shape, dtype=np.bool_),
            known[ballots[0][0][0]].facts,
            sum(any(key in from_others for key, _ in own) for own in ballots),
            counts.sum(axis=1) / self._engine.settings.n_votes,
        )


def _bytes(text: str) -> bytes:
    """Return an answer as it is kept."""
    return text.encode("utf-8", "surrogatepass")


def _checked(answers: Sequence[Sequence[str]], wanted: Sequence[Asked]) -> Sequence[Sequence[str]]:
    """Return what an engine answered, if there is one text for each number."""
    found, expected = [len(texts) for texts in answers], [len(one.numbers) for one in wanted]
    for other in (text for texts in answers for text in texts if not isinstance(text, str)):
        raise EngineError(parameter="sampled_answers", received=other, allowed="lists of texts")
    if found != expected:
        raise EngineError(
            parameter="sampled_answers",
            received=found[:10],
            allowed=f"lists of texts of these lengths: {expected[:10]}",
        )
    return answers
