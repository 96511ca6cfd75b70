"""The facts of a table that decide its answers: model, tokenizer, template and demonstrations.

They are compared with those of the fitted rows. A guarantee is about the same model and prompt, so a
change of these ends it, whatever the figures look like.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from debias.errors import CorrectionFileError

LONGEST = 120
"""Characters of a fact; longer ones are kept as a digest."""
MOST_FACTS = 50

DECISIVE = (
    "model",
    "weights",
    "revision",
    "tokenizer",
    "adapter",
    "quantization",
    "template",
    "demonstrations",
)
"""Facts whose change ends a guarantee; others, such as the number format, are said only."""
_OF_ENGINE = ("weights", "scoring")
"""Facts that engines state each in a way of their own."""


class ChangedFact(NamedTuple):
    """A fact that was another one on the fitted rows.

    Attributes
    ----------
    name, fitted, now : str
    ends : bool
        Whether the guarantee ends with it.
    """

    name: str
    fitted: str
    now: str
    ends: bool


def origin_facts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts that decide answers, as short texts.

    Parameters
    ----------
    metadata : mapping
        Of a table; other tables than those of ``collect`` may name a model and a template, too.

    Returns
    -------
    dict of str to str
        Long values, such as templates, as digests.

    Examples
    --------
    >>> engine = {"engine": "transformers", "weights": "a05d17f4", "tokenizer": "77b2"}
    >>> origin_facts({"model": "demo", "collection": {"engine": engine}, "seed": 3})
    {'model': 'demo', 'engine': 'transformers', 'weights': 'a05d17f4', 'tokenizer': '77b2'}
    """
    collection, facts = metadata.get("collection"), metadata.get("engine")
    made_with = collection if isinstance(collection, Mapping) else {}
    engine = made_with.get("engine")
    found = {"model": metadata.get("model"), "template": metadata.get("template")}
    found["demonstrations"] = made_with.get("demonstrations", metadata.get("demonstrations"))
    found |= engine if isinstance(engine, Mapping) else {}
    if isinstance(facts, Mapping) and facts.get("revision"):
        found["revision"] = facts["revision"]
    texts = {_short(str(name)): _short(value) for name, value in found.items() if value is not None}
    return dict(list(texts.items())[:MOST_FACTS])


def _short(value: object) -> str:
    """Return a value as a short text."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    if len(text) <= LONGEST:
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def read_facts(entry: object) -> dict[str, str]:
    """Return facts from a file.

    Raises
    ------
    CorrectionFileError
        They are not short texts.

    Examples
    --------
    >>> read_facts({"model": 3})
    Traceback (most recent call last):
    debias.errors.CorrectionFileError: origin must be short texts by name, got {'model': 3}.
    """
    fits = isinstance(entry, Mapping) and len(entry) <= MOST_FACTS
    if not fits or not all(isinstance(x, str) and len(x) <= LONGEST for one in entry.items() for x in one):  # type: ignore[attr-defined]
        raise CorrectionFileError(parameter="origin", allowed="short texts by name", received=entry)
    return dict(entry)  # type: ignore[call-overload]


def changed_facts(fitted: Mapping[str, str], now: Mapping[str, str]) -> tuple[ChangedFact, ...]:
    """Return the facts that both name and that differ.

    Where both name the digest of the weights, another name of the model is no change: models move
    between folders. Weights are not compared between engines, which take digests in ways of their own.

    Parameters
    ----------
    fitted, now : mapping of str to str
        Of :func:`origin_facts`.

    Returns
    -------
    tuple of ChangedFact
        Those that end a guarantee first.

    Examples
    --------
    >>> for change in changed_facts({"model": "a", "dtype": "float32"}, {"model": "b", "dtype": "float16"}):
    ...     print(change)
    ChangedFact(name='model', fitted='a', now='b', ends=True)
    ChangedFact(name='dtype', fitted='float32', now='float16', ends=False)
    """
    omitted: set[str] = set()
    if fitted.get("engine") != now.get("engine"):
        omitted |= set(_OF_ENGINE)
    elif "weights" in fitted and fitted["weights"] == now.get("weights"):
        omitted |= {"model", "revision"}
    names = [*DECISIVE, *sorted((set(fitted) | set(now)) - set(DECISIVE))]
    return tuple(
        ChangedFact(name, fitted[name], now[name], name in DECISIVE)
        for name in names
        if name in fitted and name in now and fitted[name] != now[name] and name not in omitted
    )
