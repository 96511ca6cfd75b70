"""Draws answers token by token: exact sampling, with a generator of its own for each answer.

Answers that have begun alike are computed once. A token is drawn by inverting the cumulative
probabilities in the order of the vocabulary, so one uniform number decides it. Where that number is so
near a border that rounding could move it over, the distribution is computed again for the prompt alone:
then it does not depend on what else was in the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from debias.inference.votes.sampling import Asked, OnAnswers, Sampling

FloatArray = NDArray[np.float64]
ReadNext = Callable[[Sequence[list[int]], Callable[[int, NDArray[np.float32]], object]], None]
"""From contexts to the logits of the token after each; see :meth:`Forward.read_next`."""

PROMPTS_AT_ONCE = 64
"""Prompts that are answered together, and then handed out."""


@dataclass
class _Branch:
    """Answers to one prompt that have begun alike: their tokens so far, and their numbers."""

    place: int
    tokens: list[int]
    numbers: list[int]


@dataclass
class AnswerDraws:
    """Draws answers to prompts.

    Parameters
    ----------
    read_next : callable
        From contexts to logits.
    decode : callable
        From tokens to a text, without tokens that end one.
    ends : frozenset of int
        Tokens that end an answer.
    sampling : Sampling
    nearest : float
        Distance of a uniform number from a border below which a prompt is computed again alone; 0 never.

    Attributes
    ----------
    n_alone : int
        Prompts that were computed again alone.
    """

    read_next: ReadNext
    decode: Callable[[Sequence[int]], str]
    ends: frozenset[int]
    sampling: Sampling
    nearest: float = 0.0
    n_alone: int = 0
    _uniform: dict[tuple[int, int], FloatArray] = field(default_factory=dict)

    def draw(
        self, asked: Sequence[Asked], contexts: Sequence[list[int]], on_answers: OnAnswers | None
    ) -> list[list[str]]:
        """Return the answers to each prompt.

        Parameters
        ----------
        asked : sequence of Asked, length n
        contexts : sequence of lists of int, length n
            The tokens of the prompts.
        on_answers : callable, optional
            Called for each prompt when some of them are done.

        Returns
        -------
        list of n lists of str
        """
        answers: list[list[str]] = []
        for start in range(0, len(asked), PROMPTS_AT_ONCE):
            some = slice(start, start + PROMPTS_AT_ONCE)
            for one, own in zip(asked[some], self._draw(asked[some], contexts[some]), strict=True):
                if on_answers is not None:
                    on_answers(len(answers), own)
                answers.append([own[number] for number in one.numbers])
        return answers

    def _draw(self, asked: Sequence[Asked], contexts: Sequence[list[int]]) -> list[dict[int, str]]:
        """Draw the answers to some prompts, one token a round."""
        self._uniform = {
            (place, number): np.random.default_rng(self.sampling.entropy_of(one.prompt, number)).random(
                self.sampling.max_tokens
            )
            for place, one in enumerate(asked)
            for number in one.numbers
        }
        texts: list[dict[int, str]] = [{} for _ in asked]
        open_ones = [_Branch(place, [], list(one.numbers)) for place, one in enumerate(asked) if one.numbers]
        for step in range(self.sampling.max_tokens):
            following: list[_Branch] = []
            for branch, drawn in self._drawn(open_ones, contexts, step):
                for token, numbers in sorted(drawn.items()):
                    whole = [*branch.tokens, token]
                    ends = token in self.ends
                    text = self.decode(branch.tokens if ends else whole)
                    if ends or step + 1 == self.sampling.max_tokens or self._is_done(text):
                        texts[branch.place] |= dict.fromkeys(numbers, text)
                    else:
                        following.append(_Branch(branch.place, whole, numbers))
            open_ones = following
            if not open_ones:
                break
        return texts

    def _is_done(self, text: str) -> bool:
        """Whether what follows a text would not be read: its first line is complete."""
        return self.sampling.first_line and "\n" in text.lstrip()

    def _drawn(
        self, branches: list[_Branch], contexts: Sequence[list[int]], step: int
    ) -> list[tuple[_Branch, dict[int, list[int]]]]:
        """Return the next token of every answer: numbers of answers by their token, branch by branch."""
        places = [contexts[branch.place] + branch.tokens for branch in branches]
        drawn: list[dict[int, list[int]]] = [{} for _ in branches]
        again: list[int] = []

        def choose(row: int, logits: NDArray[np.float32], alone: bool) -> None:
            branch = branches[row]
            uniform = [self._uniform[branch.place, number][step] for number in branch.numbers]
            tokens, distance = draw_tokens(logits, np.array(uniform), self.sampling.temperature)
            if not alone and distance < self.nearest:
                again.append(row)
                return
            for token, number in zip(tokens.tolist(), branch.numbers, strict=True):
                drawn[row].setdefault(token, []).append(number)

        self.read_next(places, lambda row, logits: choose(row, logits, alone=len(places) == 1))
        for row in again:
            self.read_next([places[row]], lambda _, logits, row=row: choose(row, logits, alone=True))  # type: ignore[misc]
        self.n_alone += len(again)
        return list(zip(branches, drawn, strict=True))


def draw_tokens(
    logits: NDArray[np.float32], uniform: FloatArray, temperature: float
) -> tuple[NDArray[np.int64], float]:
    """Return the tokens that uniform numbers draw, and how near the nearest is to another token.

    Parameters
    ----------
    logits : float32 array, shape (vocabulary,)
    uniform : float64 array, shape (n,)
        In [0, 1).
    temperature : float
        0 takes the most probable token, the first of equals.

    Returns
    -------
    tokens : int64 array, shape (n,)
    distance : float
        In probability, or for temperature 0 in logits.

    Examples
    --------
    >>> logits = np.log(np.array([0.5, 0.2, 0.3], dtype=np.float32))
    >>> tokens, distance = draw_tokens(logits, np.array([0.1, 0.6, 0.9]), 1.0)
    >>> tokens.tolist(), round(distance, 3)
    ([0, 1, 2], 0.1)
    >>> draw_tokens(logits, np.array([0.1, 0.9]), 0.0)[0].tolist()
    [0, 0]
    """
    values = logits.astype(np.float64)
    if temperature == 0:
        best = int(values.argmax())
        rest = np.delete(values, best)
        distance = float(values[best] - rest.max(initial=-np.inf))
        return np.full(len(uniform), best, dtype=np.int64), distance
    scaled = np.exp((values - values.max()) / temperature)
    ends = np.cumsum(scaled)
    ends /= ends[-1]
    tokens = np.searchsorted(ends, uniform, side="right")
    lower = np.where(tokens > 0, ends[tokens - 1], -np.inf)
    upper = np.where(tokens < len(ends) - 1, ends[np.minimum(tokens, len(ends) - 1)], np.inf)
    return tokens.astype(np.int64), float(np.minimum(uniform - lower, upper - uniform).min())
