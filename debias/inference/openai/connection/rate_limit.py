"""A rate limit: requests are sent at equal distances, across calls and threads.

Equal distances keep any window of a minute within the limit; a bucket that may be emptied at once
would send up to twice as many in its first minute.
"""

import threading
import time


class RateLimit:
    """Gives each request the moment at which it may be sent.

    Parameters
    ----------
    per_minute : float, optional
        Most requests in any minute; None means no limit.

    Examples
    --------
    >>> limit = RateLimit(per_minute=600)
    >>> first, second = limit.next_wait(), limit.next_wait()
    >>> first, round(second, 2)
    (0.0, 0.1)
    """

    def __init__(self, per_minute: float | None = None) -> None:
        self._distance = 60.0 / per_minute if per_minute else 0.0
        self._free = 0.0
        self._lock = threading.Lock()

    def next_wait(self) -> float:
        """Take the next moment, and return the seconds until then."""
        with self._lock:
            now = time.monotonic()
            moment = max(now, self._free)
            self._free = moment + self._distance
            return moment - now

    def hold(self, seconds: float) -> None:
        """Delay all requests by some seconds, as a server asked."""
        with self._lock:
            self._free = max(self._free, time.monotonic() + seconds)
