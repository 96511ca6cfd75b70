"""Where a server is, how patiently it is asked, and which environment variable holds the key."""

import math
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from debias.errors import ParameterError

DEFAULT_VARIABLE = "OPENAI_API_KEY"


@dataclass(frozen=True)
class ServerSettings:
    """Where a server is and how patiently it is asked.

    Parameters
    ----------
    base_url : str
        Without user, password or query.
    api_key_variable : str or None
        Environment variable that holds the key; None sends none.
    timeout : float
        Seconds for one request, from sending to the last byte of the answer.
    retries : int
        How often a request is sent again.
    longest_wait : float
        Seconds that are waited at most between two attempts; a server that asks for more is given up.
    concurrency : int
        Requests under way at once.

    Raises
    ------
    ParameterError
        When one is not allowed, or a variable other than the usual one is not set.

    Examples
    --------
    >>> ServerSettings("http://127.0.0.1:8000/v1/", None).base_url
    'http://127.0.0.1:8000/v1'
    >>> ServerSettings("127.0.0.1:8000", None)
    Traceback (most recent call last):
    debias.errors.ParameterError: base_url is '127.0.0.1:8000'; give an address as http://127.0.0.1:8000/v1
    """

    base_url: str
    api_key_variable: str | None = DEFAULT_VARIABLE
    timeout: float = 120.0
    retries: int = 6
    longest_wait: float = 120.0
    concurrency: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", _checked_url(self.base_url))
        check_number("retries", self.retries, 0)
        check_number("concurrency", self.concurrency, 1)
        for name in ("timeout", "longest_wait"):
            check_positive(name, getattr(self, name))
        if self.api_key_variable not in (None, DEFAULT_VARIABLE) and not self.key():
            raise ParameterError(
                f"api_key_variable is {self.api_key_variable!r}, and there is no such environment variable;"
                " set it, or give api_key_variable=None for a server without keys"
            )

    def key(self) -> str:
        """Return the key out of the environment, "" where there is none; it is kept nowhere."""
        value = os.environ.get(self.api_key_variable, "").strip() if self.api_key_variable else ""
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ParameterError(
                f"the environment variable {self.api_key_variable} does not hold a key: it has spaces or"
                " signs that cannot be sent"
            )
        return value


def check_number(name: str, value: Any, least: int) -> None:
    """Raise ParameterError for what is no whole number from ``least`` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ParameterError(f"{name} is {value!r}; give a number from {least} on")


def check_positive(name: str, value: Any) -> None:
    """Raise ParameterError for what is no finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ParameterError(f"{name} is {value!r}; give a number above 0")


def _checked_url(url: Any) -> str:
    """Return the address without its last stroke; never show what may be a password."""
    if not isinstance(url, str):
        raise ParameterError(f"base_url is {url!r}; give an address as http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username is not None or parts.password is not None
    except ValueError:
        host, secret = None, "@" in url
    if secret or "@" in url:
        raise ParameterError(
            "base_url holds a user or password; give the key in an environment variable, and the variable's"
            " name as api_key_variable"
        )
    if parts.query or parts.fragment:
        raise ParameterError("base_url has a query, which may hold a key; give the address alone")
    if parts.scheme not in ("http", "https") or not host:
        raise ParameterError(f"base_url is {url!r}; give an address as http://127.0.0.1:8000/v1")
    return url.rstrip("/")
