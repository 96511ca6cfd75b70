"""Picks the instructions that teach a model most now, trains on them, and scores again.

Public names are imported when they are first used, so that ``import iterit`` is quick and loads
no model library.
"""

import importlib
from typing import TYPE_CHECKING

from debias.version import __version__ as __version__

if TYPE_CHECKING:
    from iterit.ngrams.ngram_counts import count_ngrams as count_ngrams
    from iterit.records.instruction_records import Records as Records
    from iterit.records.instruction_records import read_records as read_records
    from iterit.scoring.complexity import score_complexity as score_complexity
    from iterit.selection.near_duplicates import near_duplicates as near_duplicates
    from iterit.selection.selection import Selection as Selection
    from iterit.selection.selection import select as select
    from iterit.templates.named_templates import template_for as template_for
    from iterit.training.trainer import IterIT as IterIT
    from iterit.training.trainer_callback import IterITTrainer as IterITTrainer

_HOME = {
    "IterIT": "iterit.training.trainer",
    "IterITTrainer": "iterit.training.trainer_callback",
    "Records": "iterit.records.instruction_records",
    "Selection": "iterit.selection.selection",
    "count_ngrams": "iterit.ngrams.ngram_counts",
    "near_duplicates": "iterit.selection.near_duplicates",
    "read_records": "iterit.records.instruction_records",
    "score_complexity": "iterit.scoring.complexity",
    "select": "iterit.selection.selection",
    "template_for": "iterit.templates.named_templates",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    """Import a public name from its module when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'iterit' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted(__all__)
