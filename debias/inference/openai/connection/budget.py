"""A cap on requests and tokens: reserved before a request is sent, settled when it was answered.

What a request may cost at most is reserved first, so that the cap holds whatever the server
answers, however many requests are under way, and however often one is sent again.
"""

import threading
from collections import Counter

from debias.errors import SpendLimitError, param

_KEPT = "the answers so far are kept: raise the cap and rerun"


class Budget:
    """Counts requests, tokens and failures, and refuses what would exceed a cap.

    Parameters
    ----------
    max_requests, max_tokens : int, optional
        The caps; None means no cap.

    Attributes
    ----------
    requests : int
        Requests sent so far, repetitions included.
    tokens : int
        Tokens so far: as the server counted them, or what was reserved where it did not say.
    answers : int
        Answers that came, of whatever kind: none means that the server was never reached.
    failures : Counter
        Requests that failed and may be sent again, by kind.

    Examples
    --------
    >>> budget = Budget(max_tokens=100)
    >>> budget.reserve(80)
    True
    >>> budget.reserve(80)  # too much while the first may cost 80: wait
    False
    >>> budget.settle(80, 15)
    >>> budget.reserve(80)
    True
    >>> budget.settle(80, None)  # no answer, so it may have cost all of it
    >>> budget.requests, budget.tokens
    (2, 95)
    >>> budget.reserve(6)
    Traceback (most recent call last):
    debias.errors.SpendLimitError: max_tokens=100 is reached: 95 tokens were spent, and the next ...
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.requests = self.tokens = self.answers = 0
        self.failures: Counter[str] = Counter()
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, tokens: int) -> bool:
        """Count a request and reserve its tokens.

        Parameters
        ----------
        tokens : int
            The most that the request may cost.

        Returns
        -------
        bool
            False when it must wait: what others have reserved may turn out to be less.

        Raises
        ------
        SpendLimitError
            The request can no longer be sent.
        """
        with self._lock:
            if self.max_requests is not None and self.requests >= self.max_requests:
                cap = param("max_requests", str(self.max_requests))
                raise SpendLimitError(
                    f"{cap} is reached", parameter="max_requests", received=self.max_requests, fix=_KEPT
                )
            if self.max_tokens is not None and self.tokens + self._reserved + tokens > self.max_tokens:
                if self._reserved:
                    return False
                raise SpendLimitError(
                    f"{param('max_tokens', str(self.max_tokens))} is reached: {self.tokens} tokens were "
                    f"spent, and the next request may cost {tokens}",
                    parameter="max_tokens",
                    received=self.max_tokens,
                    fix=_KEPT,
                )
            self.requests += 1
            self._reserved += tokens
            return True

    def settle(self, reserved: int, used: int | None) -> None:
        """Replace the tokens that were reserved by those that were used; None where that is not known."""
        with self._lock:
            self._reserved -= reserved
            self.tokens += reserved if used is None else used

    def count_failure(self, kind: str) -> None:
        """Count a request that failed and may be sent again."""
        with self._lock:
            self.failures[kind] += 1
