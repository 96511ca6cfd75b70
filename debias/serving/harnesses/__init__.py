"""Evaluation harnesses: a correction applied, and class accuracies compared, where a model is evaluated.

:class:`CorrectionFilter` and :class:`ClassificationTask` are for lm-evaluation-harness,
``corrected_answer`` and two metrics for inspect-ai. Neither harness is imported before it is used.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from debias.serving.harnesses.choice_filter import CorrectionFilter as CorrectionFilter
    from debias.serving.harnesses.inspect_scorer import cobias as cobias
    from debias.serving.harnesses.inspect_scorer import corrected_answer as corrected_answer
    from debias.serving.harnesses.inspect_scorer import worst_class_accuracy as worst_class_accuracy
    from debias.serving.harnesses.lm_eval_task import ClassificationTask as ClassificationTask

_HOMES = {
    "choice_filter": ("CorrectionFilter",),
    "inspect_scorer": ("cobias", "corrected_answer", "worst_class_accuracy"),
    "lm_eval_task": ("ClassificationTask",),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
