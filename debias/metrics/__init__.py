"""Metrics of a classifier from confusion counts, with confidence intervals."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from debias.metrics.paired_bootstrap import paired_intervals as paired_intervals
    from debias.metrics.scores import accuracy_minus_cobias as accuracy_minus_cobias
    from debias.metrics.scores import bootstrap_interval as bootstrap_interval
    from debias.metrics.scores import class_accuracy as class_accuracy
    from debias.metrics.scores import cobias as cobias
    from debias.metrics.scores import cobias_from_accuracies as cobias_from_accuracies
    from debias.metrics.scores import intervals as intervals
    from debias.metrics.scores import worst_class_accuracy as worst_class_accuracy

_HOMES = {
    "paired_bootstrap": ("paired_intervals",),
    "scores": (
        "accuracy_minus_cobias",
        "bootstrap_interval",
        "class_accuracy",
        "cobias",
        "cobias_from_accuracies",
        "intervals",
        "worst_class_accuracy",
    ),
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
