"""Picks the instructions that are hard for a model now, trains on them, and scores again.

Public names are imported when they are first used, so that ``import iterit`` is quick and loads
no model library.
"""

from typing import TYPE_CHECKING

import lazy_loader

from debias.version import __version__ as __version__

if TYPE_CHECKING:
    from iterit.ngrams.ngram_counts import count_ngrams as count_ngrams
    from iterit.records.instruction_records import Records as Records
    from iterit.records.instruction_records import read_records as read_records
    from iterit.records.picks.picks_files import read_picks as read_picks
    from iterit.records.planting.planted_pool import plant as plant
    from iterit.scoring.complexity import score_complexity as score_complexity
    from iterit.scoring.score_shards import merge_scores as merge_scores
    from iterit.selection.near_duplicates import near_duplicates as near_duplicates
    from iterit.selection.selection import Selection as Selection
    from iterit.selection.selection import select as select
    from iterit.templates.named_templates import template_for as template_for
    from iterit.training.audits.audit_settings import AuditSettings as AuditSettings
    from iterit.training.audits.picks_audit import audit as audit
    from iterit.training.audits.subset_runs import SubsetRuns as SubsetRuns
    from iterit.training.pruned.adapter_recovery import recover as recover
    from iterit.training.pruned.cutting import load_pruned as load_pruned
    from iterit.training.pruned.pruning import prune as prune
    from iterit.training.setup.training_settings import TrainingSettings as TrainingSettings
    from iterit.training.trainer import IterIT as IterIT
    from iterit.training.trainer_callback import IterITTrainer as IterITTrainer

_HOMES = {
    "ngrams.ngram_counts": ("count_ngrams",),
    "records.instruction_records": ("Records", "read_records"),
    "records.picks.picks_files": ("read_picks",),
    "records.planting.planted_pool": ("plant",),
    "scoring.complexity": ("score_complexity",),
    "scoring.score_shards": ("merge_scores",),
    "selection.near_duplicates": ("near_duplicates",),
    "selection.selection": ("Selection", "select"),
    "templates.named_templates": ("template_for",),
    "training.audits.audit_settings": ("AuditSettings",),
    "training.audits.picks_audit": ("audit",),
    "training.audits.subset_runs": ("SubsetRuns",),
    "training.pruned.adapter_recovery": ("recover",),
    "training.pruned.cutting": ("load_pruned",),
    "training.pruned.pruning": ("prune",),
    "training.setup.training_settings": ("TrainingSettings",),
    "training.trainer": ("IterIT",),
    "training.trainer_callback": ("IterITTrainer",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
