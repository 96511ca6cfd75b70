"""Describes sampled answers: which are asked for, how they are drawn, and with which seeds.

The seed of an answer comes from its prompt and its number, so that no answer depends on the batch it
is drawn in, and more answers to a prompt begin with the ones there were.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

_PROMPT_BITS = 30
"""Seeds of prompts stay below this power of two: servers keep 31 or 32 bits."""


class Asked(NamedTuple):
    """A prompt, and which of its answers are wanted, counted from 0."""

    prompt: str
    numbers: tuple[int, ...]


OnAnswers = Callable[[int, dict[int, str]], object]
"""Called with the position of an :class:`Asked` and some of its answers by their numbers."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Parameters
    ----------
    temperature : float
        Logits are divided by it; 0 takes the most probable token each time.
    max_tokens : int
        Tokens of an answer, at most.
    seed : int
        Another one draws other answers.
    first_line : bool, default=True
        Whether an answer may end with its first line that is not blank.

    Examples
    --------
    >>> Sampling(1.0, max_tokens=8, seed=0).settings()
    {'temperature': 1.0, 'max_tokens': 8, 'seed': 0, 'first_line': True}
    """

    temperature: float
    max_tokens: int
    seed: int
    first_line: bool = True

    def settings(self) -> dict[str, object]:
        """Return what decides the answers, JSON-able."""
        return asdict(self)

    def seed_of(self, prompt: str, number: int = 0) -> int:
        """Return the seed of an answer: that of its prompt, and one more for each answer before it.

        Parameters
        ----------
        prompt : str
        number : int, default=0

        Returns
        -------
        int
            Below 2**31.

        Examples
        --------
        >>> sampling = Sampling(1.0, max_tokens=8, seed=0)
        >>> sampling.seed_of("Who ?", 3) - sampling.seed_of("Who ?")
        3
        >>> sampling.seed_of("Who ?") == Sampling(1.0, max_tokens=8, seed=1).seed_of("Who ?")
        False
        """
        return int.from_bytes(self._digest(prompt)[:4], "big") % 2**_PROMPT_BITS + number

    def entropy_of(self, prompt: str, number: int) -> list[int]:
        """Return what seeds a generator of this machine: 128 bits of the prompt, and the number."""
        return [int.from_bytes(self._digest(prompt), "big"), number]

    def _digest(self, prompt: str) -> bytes:
        content = f"{self.seed}\n".encode() + prompt.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=16).digest()


def runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs of consecutive numbers as (first, count), for requests of several answers at once.

    Examples
    --------
    >>> runs([0, 1, 2, 5, 7, 8])
    [(0, 3), (5, 1), (7, 2)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return found
