"""Corrects rows of logits at the first token of an answer: what both processors share.

The softmax over the first tokens of the labels is what a table holds. It is corrected in float64 with NumPy,
and the logarithms of the corrected values become the logits of these tokens; all others become -inf.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from debias.errors import LabelError, ModelError, param
from debias.serving.served_correction import ServedCorrection, load
from debias.serving.vllm.first_tokens import (
    answer_words,
    first_tokens,
    tokenizer_digest,
    words_of_several_tokens,
)
from debias.serving.vllm.offered_corrections import Offer

MARGIN = 1e-6
"""Nats by which the label that is decided on leads at least, relative where its logit is large: the first of
equal labels wins, and float32 rounds no two different values to one."""


class AnswerCorrection:
    """A correction for the first token of answers of one model.

    Parameters
    ----------
    served : ServedCorrection
    tokens : sequence of int, length n_classes
        First token of each label, in the order of its classes.

    Examples
    --------
    >>> from debias.corrections.bases.base import Identity
    >>> from debias.corrections.correction import Triangle, Weight
    >>> half = ServedCorrection(("no", "yes"), (Weight(1, 2), Triangle(0, 1, 1)), Identity())
    >>> AnswerCorrection(half, [7, 3]).logits(np.log([[0.6, 0.4], [0.8, 0.2]])).argmax(axis=1)
    array([1, 0])
    """

    def __init__(self, served: ServedCorrection, tokens: "list[int] | tuple[int, ...]") -> None:
        self.served = served
        self.tokens = tuple(tokens)

    def logits(self, label_logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Return new logits of the labels' tokens.

        Parameters
        ----------
        label_logits : ndarray of shape (n_rows, n_classes)
            Each row has at least one label that is not masked, by minus infinity, and no NaN.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_classes)
            The largest one of a row is that of the label that the correction decides on. A label that was
            masked stays masked, whatever its corrected value.
        """
        masked = np.isneginf(label_logits)
        largest = label_logits.max(axis=1, keepdims=True).astype(np.float64)
        shares = np.exp(label_logits - largest)
        shares /= shares.sum(axis=1, keepdims=True)
        posteriors = self.served.rule.base.posteriors(shares)
        values = np.where(masked, 0.0, self.served.rule.corrected(posteriors))
        for others in (np.where(masked, 0.0, posteriors), shares):
            values = np.where(values.any(axis=1, keepdims=True), values, others)
        chosen = values.argmax(axis=1)[:, None]  # the first one among equals
        with np.errstate(divide="ignore"):
            logs = np.log(values)
        top = np.take_along_axis(logs, chosen, axis=1)
        below = np.minimum(logs, top - MARGIN * np.maximum(1.0, np.abs(top)))
        np.put_along_axis(below, chosen, top, axis=1)
        return below.astype(np.float32)


def prepare(offer: Offer, tokenizer: Any) -> AnswerCorrection:
    """Read a correction that is offered, and check it against the tokenizer of the model that is served.

    Parameters
    ----------
    offer : Offer
    tokenizer : tokenizer of vLLM or transformers

    Returns
    -------
    AnswerCorrection

    Raises
    ------
    CorrectionFileError
        The file cannot be read, or names a function of your own.
    LabelError
        Labels share a first token, or whole labels of several tokens were fitted.
    ModelError
        The correction is for another tokenizer.
    """
    served = load(offer.file)
    try:
        words = answer_words(served.classes, offer.labels)
        tokens = first_tokens(tokenizer, words)
        _check_scoring(served, words_of_several_tokens(tokenizer, words))
    except LabelError as error:
        raise error.at(file=offer.file) from None
    wanted = offer.tokenizer or _fitted_fact(served, "tokenizer")
    if wanted is not None and wanted != (found := tokenizer_digest(tokenizer)):
        raise ModelError(
            f"the correction was fitted with the tokenizer {wanted}, but the served model has {found}",
            parameter="tokenizer",
            received=found,
            file=offer.file,
            fix="collect a table from the served model, and fit again",
        )
    return AnswerCorrection(served, tokens)


def _check_scoring(served: ServedCorrection, longer: list[str]) -> None:
    """Refuse a correction of the probabilities of whole labels, where these are not those of first tokens."""
    if longer and _fitted_fact(served, "scoring") == "label":
        raise LabelError(
            f"the correction was fitted on the probabilities of whole labels, but {longer[0]!r} has several "
            "tokens, of which the processor sees the first",
            parameter="scoring",
            received=longer,
            fix=f"collect a table with {param('scoring', 'first-token')} and fit again",
        )


def _fitted_fact(served: ServedCorrection, name: str) -> str | None:
    """Return a fact on how the fitted rows were collected, such as the tokenizer, where the file has it."""
    reference = served.document.get("reference")
    origin = reference.get("origin") if isinstance(reference, dict) else None
    found = origin.get(name) if isinstance(origin, dict) else None
    return found if isinstance(found, str) else None


def correct_rows(logits: Any, due: Mapping[int, AnswerCorrection]) -> None:
    """Correct some rows of logits in place.

    Parameters
    ----------
    logits : torch.Tensor of float32, shape (n_rows, vocabulary)
    due : mapping of int to AnswerCorrection
        By the row.

    Notes
    -----
    A row in which all labels are masked, or one has no number, stays as it is: nothing can be decided.
    """
    import torch

    groups: dict[int, list[int]] = {}
    corrections = {id(one): one for one in due.values()}
    for row, correction in due.items():
        groups.setdefault(id(correction), []).append(row)
    for key, rows in groups.items():
        correction = corrections[key]
        places = torch.tensor(rows, device=logits.device)
        tokens = torch.tensor(correction.tokens, device=logits.device)
        found = logits[places[:, None], tokens].float().cpu().numpy()
        usable = np.isfinite(
            found.max(axis=1)
        )  # NaN and infinity are not; minus infinity means all are masked
        if not usable.all():
            places, found = places[torch.from_numpy(usable).to(logits.device)], found[usable]
        if len(found):
            new = torch.from_numpy(correction.logits(found)).to(logits)
            logits.index_fill_(0, places, float("-inf"))
            logits[places[:, None], tokens] = new
