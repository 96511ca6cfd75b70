"""A task of lm-evaluation-harness with the metrics COBias and worst class accuracy.

It imports lm-evaluation-harness: nothing else imports it. A task file names it as its ``class``.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from debias.errors import MissingDependencyError, ParameterError
from debias.serving.harnesses.choice_filter import CorrectionFilter
from debias.serving.harnesses.class_evenness import cobias_of_pairs, worst_class_of_pairs

try:
    import lm_eval.api.metrics  # noqa: F401  # it fills its registries only where they are empty
    from lm_eval.api.registry import register_aggregation, register_metric
    from lm_eval.api.task import ConfigurableTask
except ImportError as error:
    raise MissingDependencyError(
        "the task needs lm-evaluation-harness", fix="pip install lm-eval", received="lm_eval"
    ) from error

METRICS = {"cobias": (cobias_of_pairs, False), "worst_class_accuracy": (worst_class_of_pairs, True)}
"""Aggregations by the name of their metric, and whether higher is better."""

for _name, (_aggregate, _higher) in METRICS.items():
    register_aggregation(_name)(_aggregate)
    register_metric(metric=_name, higher_is_better=_higher, aggregation=_name)(_aggregate)

_Base: Any = ConfigurableTask


class ClassificationTask(_Base):
    """A multiple-choice task whose choices are classes.

    It knows two more metrics for its ``metric_list``, ``cobias`` and ``worst_class_accuracy``. A
    :class:`CorrectionFilter` in its ``filter_list`` takes the task's own choices, and is read and
    checked against all documents before the model is asked.

    Parameters
    ----------
    config : dict
        The task file.

    Raises
    ------
    ParameterError
        The task is no multiple-choice task, or a document's choices are not the classes of the correction.
    CorrectionFileError
        A correction cannot be read.
    """

    def __init__(self, config: dict[str, Any] | None = None, **others: Any) -> None:
        settings = {key: value for key, value in (config or {}).items() if key != "class"}
        super().__init__(config=settings, **others)
        if self.OUTPUT_TYPE != "multiple_choice" or self.multiple_input or self.multiple_target:
            raise ParameterError(
                parameter="output_type",
                allowed="multiple_choice, with one text and one target per document",
                received=self.OUTPUT_TYPE,
            )
        for pipeline in self._filters:
            pipeline.filters = [self._prepared(make) for make in pipeline.filters]

    def _prepared(self, make: Any) -> Any:
        """Return what makes a filter; ours is made at once, so that it is refused before the model runs."""
        if not isinstance(make, partial) or make.func is not CorrectionFilter:
            return make
        own = CorrectionFilter(**{"choices": self.doc_to_choice, **make.keywords})
        fixed = isinstance(self.config.doc_to_choice, list | dict)
        for row, document in enumerate(self.eval_docs):
            names, held = self.doc_to_choice(document), own.choices_of(document)
            own.columns(names, row)
            if list(names) != list(held):
                raise ParameterError(
                    parameter="choices",
                    allowed=f"those of doc_to_choice, {list(names)}",
                    received=list(held),
                    fix="omit them: the filter takes the task's own",
                    row=row,
                )
            if fixed:
                break
        return lambda: own

    def process_results(self, doc: Any, results: Sequence[Any]) -> dict[str, Any]:
        """Return the metrics of one document.

        Parameters
        ----------
        doc : dict
        results : sequence of (float, bool)
            A log-likelihood per choice, and what comes with it.

        Returns
        -------
        dict
            What the task makes of it, and pairs of a label and a prediction.
        """
        found: dict[str, Any] = super().process_results(doc, results)
        wanted = [name for name in METRICS if name in self._metric_fn_list]
        if wanted:
            names = list(self.doc_to_choice(doc))
            target = self.doc_to_target(doc)
            label = names[target] if isinstance(target, int) and 0 <= target < len(names) else target
            if label not in names:
                raise ParameterError(
                    parameter="doc_to_target", allowed=f"one of {names} or its position", received=target
                )
            predicted = names[int(np.argmax([value for value, _ in results[: len(names)]]))]
            found |= dict.fromkeys(wanted, (label.strip(), predicted.strip()))
        return found
