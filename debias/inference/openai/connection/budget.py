"""A cap on requests and tokens: reserved before a request is sent, settled when it was answered.

What a request may cost at most is set aside first, so that the cap holds whatever the server
answers, however many requests are under way, and however often one is sent again.
"""

import threading
from dataclasses import dataclass

from debias.errors import ParameterError, SpendLimitError


@dataclass
class Reservation:
    """What was set aside for one request.

    Parameters
    ----------
    tokens : int
        The most that the request may cost.
    """

    tokens: int


class Spending:
    """Counts requests and tokens, and refuses what would exceed a cap.

    Parameters
    ----------
    max_requests, max_tokens : int, optional
        The caps; None is none.

    Attributes
    ----------
    requests : int
        Requests sent so far, those sent again included.
    tokens : int
        Tokens so far: as the server counted them, or what was set aside where it did not say.

    Examples
    --------
    >>> spending = Spending(max_tokens=100)
    >>> first = spending.reserve(80)
    >>> spending.reserve(80) is None  # too much while the first may cost 80: wait
    True
    >>> spending.settle(first, 15)
    >>> second = spending.reserve(80)
    >>> spending.settle(second, None)  # no answer, so it may have cost all of it
    >>> spending.requests, spending.tokens
    (2, 95)
    >>> spending.reserve(6)
    Traceback (most recent call last):
    debias.errors.SpendLimitError: max_tokens is 100, 95 are spent, ...
    """

    def __init__(self, max_requests: int | None = None, max_tokens: int | None = None) -> None:
        for name, value in (("max_requests", max_requests), ("max_tokens", max_tokens)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ParameterError(f"{name} is {value!r}; give a number from 1 on, or None for no cap")
        self.max_requests, self.max_tokens = max_requests, max_tokens
        self.requests = self.tokens = 0
        self._set_aside = 0
        self._lock = threading.Lock()

    def reserve(self, tokens: int) -> Reservation | None:
        """Count a request and set its tokens aside.

        Parameters
        ----------
        tokens : int
            The most that the request may cost.

        Returns
        -------
        Reservation or None
            None when it must wait: what others have set aside may turn out to be less.

        Raises
        ------
        SpendLimitError
            When the request cannot be sent any more.
        """
        with self._lock:
            if self.max_requests is not None and self.requests >= self.max_requests:
                raise SpendLimitError(
                    f"max_requests is {self.max_requests}, and as many are sent; what was answered is kept:"
                    " raise the cap and run again"
                )
            if self.max_tokens is not None and self.tokens + self._set_aside + tokens > self.max_tokens:
                if self._set_aside:
                    return None
                raise SpendLimitError(
                    f"max_tokens is {self.max_tokens}, {self.tokens} are spent, and the next request may cost"
                    f" {tokens}; what was answered is kept: raise the cap and run again"
                )
            self.requests += 1
            self._set_aside += tokens
            return Reservation(tokens)

    def settle(self, reservation: Reservation, tokens: int | None) -> None:
        """Put what a request did cost in place of what was set aside.

        Parameters
        ----------
        reservation : Reservation
        tokens : int or None
            As the server counted them; None when it did not say.
        """
        with self._lock:
            self._set_aside -= reservation.tokens
            self.tokens += reservation.tokens if tokens is None else tokens
