"""A filter of lm-evaluation-harness that applies a correction to the choices of every document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from debias.errors import ParameterError
from debias.serving.harnesses.choice_groups import group_by_document, log_likelihoods
from debias.serving.harnesses.label_scores import columns_of, corrected_log_likelihoods, read_correction

if TYPE_CHECKING:
    from debias.serving.served_correction import ServedCorrection

Choices: TypeAlias = Sequence[str] | str | Callable[[Any], Sequence[str]]
"""The same for all documents, or the field of a document that holds them, or what returns them."""


class CorrectionFilter:
    """Correct the log-likelihoods of the choices of a multiple-choice task.

    A filter of lm-evaluation-harness: name it in the ``filter_list`` of a task, alone or after
    ``take_first``. Metrics that take the largest log-likelihood (``acc``, ``f1``, ``mcc``) are then those
    of the corrected model. ``acc_norm`` and ``acc_bytes`` divide by the lengths of the choices and so no
    longer follow the correction. With ``acc_mutual_info``, the requests without a prompt pass as they
    came.

    Choices are matched to classes by name, in each document anew.

    Parameters
    ----------
    correction : str, Path or ServedCorrection
        The file that was saved, relative to the working directory.
    choices : sequence of str, str or callable
        What the task has in ``doc_to_choice``: the choices, a field of each document that holds
        them, or a function of the document. A :class:`ClassificationTask` gives its own.
    classes : mapping of str to str, optional
        From choices to the classes of the correction, where their names differ.

    Raises
    ------
    CorrectionFileError
        The file cannot be read.
    ParameterError
        The choices are not the classes of the correction.
    """

    def __init__(
        self,
        correction: "str | Path | ServedCorrection",
        choices: Choices | None = None,
        classes: Mapping[str, str] | None = None,
    ) -> None:
        if choices is None:
            raise ParameterError(
                parameter="choices",
                allowed="the choices that the task has in doc_to_choice, or the field that holds them",
                received=choices,
                fix="pass them to the filter, or use debias.serving.harnesses.ClassificationTask",
            )
        self.correction = read_correction(correction)
        self.choices = choices
        self.classes = dict(classes or {})
        if not callable(choices) and not isinstance(choices, str):
            self.columns(list(choices))

    def columns(self, names: Sequence[str], row: int | None = None) -> Any:
        """Return the column of each choice; refuse choices that are not the classes."""
        return columns_of(self.correction.classes, names, self.classes, row)

    def choices_of(self, document: Any) -> Sequence[str]:
        """Return the choices of a document in their order."""
        if callable(self.choices):
            return list(self.choices(document))
        if not isinstance(self.choices, str):
            return list(self.choices)
        held = document.get(self.choices) if isinstance(document, Mapping) else None
        if not isinstance(held, list | tuple):
            raise ParameterError(
                parameter="choices",
                allowed="the name of a field that holds a list in every document",
                received=self.choices,
            )
        return list(held)

    def apply(self, resps: Iterable[Any], docs: Sequence[Any]) -> list[tuple[float, Any]]:
        """Return a corrected log-likelihood and the flag of every request, in their order.

        Parameters
        ----------
        resps : iterable
            The responses to all requests of the task.
        docs : sequence
            The document of every request.

        Returns
        -------
        list of tuple
            Log-likelihoods and flags.

        Raises
        ------
        ParameterError
            A document's choices are not the classes, or its requests not its choices.
        """
        values, flags = log_likelihoods(resps)
        if len(values) != len(docs):
            raise ParameterError(
                parameter="docs", allowed=f"one for each of {len(values)} responses", received=len(docs)
            )
        groups = group_by_document(docs, self.choices_of)
        if not groups:
            return []
        known: dict[tuple[str, ...], Any] = {}
        places = np.empty((len(groups), len(self.correction.classes)), dtype=np.int64)
        for row, group in enumerate(groups):
            if group.names not in known:
                known[group.names] = self.columns(group.names, row)
            places[row, known[group.names]] = group.start + np.arange(len(group.names))
        corrected = np.array(values)
        corrected[places] = corrected_log_likelihoods(self.correction, corrected[places])
        return list(zip(corrected.tolist(), flags, strict=True))
