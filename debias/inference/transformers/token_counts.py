"""Counts what goes through a model: tokens, padding, and reads of the vocabulary."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenCounts:
    """What went through a model.

    Parameters
    ----------
    tokens : int
        Tokens that went through, without padding.
    padding : int
        Tokens of padding that went through.
    reads : int
        Positions at which the vocabulary was projected on.
    """

    tokens: int = 0
    padding: int = 0
    reads: int = 0

    def plus(self, tokens: int = 0, padding: int = 0, reads: int = 0) -> "TokenCounts":
        """Return these counts with others added."""
        return TokenCounts(self.tokens + tokens, self.padding + padding, self.reads + reads)

    def __sub__(self, other: "TokenCounts") -> "TokenCounts":
        return TokenCounts(self.tokens - other.tokens, self.padding - other.padding, self.reads - other.reads)
