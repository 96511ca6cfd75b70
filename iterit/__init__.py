"""Pick the instructions that teach a model most now, train on them, score again.

Public names are imported when they are first used, so that ``import iterit`` is quick and loads
no model library.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from iterit.complexity import score_complexity
    from iterit.near_copies import near_copies
    from iterit.ngrams import count_ngrams
    from iterit.records import Records, read_records
    from iterit.selection import Selection, select
    from iterit.templates import template_for
    from iterit.trainer import IterIT

_HOME = {
    "IterIT": "iterit.trainer",
    "Records": "iterit.records",
    "Selection": "iterit.selection",
    "count_ngrams": "iterit.ngrams",
    "near_copies": "iterit.near_copies",
    "read_records": "iterit.records",
    "score_complexity": "iterit.complexity",
    "select": "iterit.selection",
    "template_for": "iterit.templates",
}

__all__ = [
    "IterIT",
    "Records",
    "Selection",
    "count_ngrams",
    "near_copies",
    "read_records",
    "score_complexity",
    "select",
    "template_for",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'iterit' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
