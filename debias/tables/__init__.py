"""Probability tables: their contents, checks, splits and file formats."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from debias.tables.overlap import check_disjoint as check_disjoint
    from debias.tables.overlap import remove_overlap as remove_overlap
    from debias.tables.table import ProbabilityTable as ProbabilityTable

_HOMES = {
    "overlap": ("check_disjoint", "remove_overlap"),
    "table": ("ProbabilityTable",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
