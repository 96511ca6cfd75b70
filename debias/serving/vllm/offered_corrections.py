"""Corrections that a server offers: named in environment variables, so that all its processes agree on them.

``DEBIAS_CORRECTIONS`` is a correction file, or a TOML file with a table for each of several. A request names
one of them, never a path, so that no client makes the server read a file.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from debias.errors import NOTHING, ParameterError

OFFERED = "DEBIAS_CORRECTIONS"
"""Environment variable: the file."""

DEFAULT = "DEBIAS_DEFAULT_CORRECTION"
"""Environment variable: the name of the correction of requests that name none."""

_KEYS = ("file", "labels", "tokenizer")


@dataclass(frozen=True)
class Offer:
    """One correction that is offered.

    Parameters
    ----------
    file : Path
        As ``debias fit`` or ``.save()`` wrote it.
    labels : mapping of str to str
        What follows the prompt for a class, by its name, where that is not a space and the name.
    tokenizer : str, optional
        Digest of the tokenizer that the correction is for.
    """

    file: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str | None = None


@dataclass(frozen=True)
class Offers:
    """All corrections that are offered.

    Parameters
    ----------
    by_name : mapping of str to Offer
    default : str, optional
        Name of the one for requests that name none.
    """

    by_name: Mapping[str, Offer]
    default: str | None = None

    def name_for(self, arguments: Mapping[str, Any] | None) -> str | None:
        """Return the name of the correction that a request wants; None where it wants none.

        Parameters
        ----------
        arguments : mapping, optional
            ``extra_args`` of the request.

        Returns
        -------
        str or None

        Raises
        ------
        ParameterError
            It names one that is not offered.

        Examples
        --------
        >>> offers = Offers({"trec": Offer(Path("trec.json"))}, default="trec")
        >>> offers.name_for(None), offers.name_for({"debias_correction": "none"})
        ('trec', None)
        >>> offers.name_for({"debias_correction": "news"})
        Traceback (most recent call last):
        debias.errors.ParameterError: debias_correction must be one of 'trec', or 'none' for no ...
        """
        if arguments is None or (wanted := arguments.get("debias_correction")) is None:
            return self.default
        if wanted == "none":
            return None
        if not isinstance(wanted, str) or wanted not in self.by_name:
            names = ", ".join(map(repr, self.by_name))
            raise ParameterError(
                parameter="debias_correction",
                allowed=f"one of {names}, or 'none' for no correction",
                received=wanted,
                fix=f"to offer another one, set {OFFERED} and start the server again",
            )
        return wanted


def read_offers(environment: Mapping[str, str] | None = None) -> Offers:
    """Return what the environment variables name; the files of corrections are not read.

    Parameters
    ----------
    environment : mapping, optional
        ``os.environ`` if omitted.

    Returns
    -------
    Offers

    Raises
    ------
    ParameterError
        No correction is named, or the TOML file cannot be read or holds something else.

    Examples
    --------
    >>> offers = read_offers({"DEBIAS_CORRECTIONS": "corrections/trec.json"})
    >>> list(offers.by_name), offers.default
    (['trec'], None)
    >>> read_offers({})
    Traceback (most recent call last):
    debias.errors.ParameterError: DEBIAS_CORRECTIONS must be a correction (.json), or a TOML file ...
    """
    environment = os.environ if environment is None else environment
    named = environment.get(OFFERED)
    path = Path(named or "")
    if path.suffix == ".json":
        by_name = {path.stem: Offer(path)}
    elif path.suffix == ".toml":
        by_name = _read_table(path)
    else:
        raise ParameterError(
            parameter=OFFERED,
            allowed="a correction (.json), or a TOML file with a table for each of several",
            received=NOTHING if named is None else named,
            fix="set this environment variable before vLLM is started",
        )
    if not by_name or "none" in by_name:
        allowed = "at least one correction, none of them named 'none'"
        raise ParameterError(parameter=OFFERED, allowed=allowed, received=[*by_name], file=path)
    default = environment.get(DEFAULT) or None
    if default is not None and default not in by_name:
        allowed = f"one of {', '.join(map(repr, by_name))}"
        raise ParameterError(parameter=DEFAULT, allowed=allowed, received=default)
    return Offers(by_name, default)


def _read_table(path: Path) -> dict[str, Offer]:
    """Read a TOML file: a table per correction; paths count from its folder."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"it cannot be read: {error}", parameter=OFFERED, file=path) from error
    return {name: _read_offer(name, table, path) for name, table in tables.items()}


def _read_offer(name: str, table: object, path: Path) -> Offer:
    """Read the table of one correction."""
    allowed = "a table with a file, and perhaps labels (a table of texts) and a tokenizer (its digest)"
    entry = table if isinstance(table, dict) else {}
    file, labels, tokenizer = (entry.get(key) for key in _KEYS)
    is_text = isinstance(labels or {}, dict) and all(isinstance(x, str) for x in (labels or {}).values())
    if (
        not isinstance(file, str)
        or not is_text
        or not isinstance(tokenizer, str | None)
        or {*entry} - {*_KEYS}
    ):
        raise ParameterError(parameter=name, allowed=allowed, received=table, file=path)
    return Offer(path.parent / file, labels or {}, tokenizer)
