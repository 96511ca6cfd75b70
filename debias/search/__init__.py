"""The search for the best choice of one correction per class, and the proof of how good it is."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from debias.search.certificate import Certificate as Certificate
    from debias.search.constraints import Constrained as Constrained
    from debias.search.milp.integer_program import IntegerProgram as IntegerProgram
    from debias.search.objective import Objective as Objective
    from debias.search.search_settings import SearchSettings as SearchSettings

_HOMES = {
    "certificate": ("Certificate",),
    "constraints": ("Constrained",),
    "milp.integer_program": ("IntegerProgram",),
    "objective": ("Objective",),
    "search_settings": ("SearchSettings",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
