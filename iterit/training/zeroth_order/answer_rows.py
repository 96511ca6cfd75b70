"""Reads the answers to be scored out of a batch of a Trainer, padded or packed, whatever its collator."""

from collections.abc import Mapping
from typing import Any

import torch

from debias.inference.labels import span_tree
from debias.inference.transformers.passes.packing import Row
from iterit.templates.encoding import IGNORED


def answer_rows(inputs: Mapping[str, Any]) -> list[Row] | None:
    """Return the records of a batch with the tokens that count in its loss.

    Parameters
    ----------
    inputs : mapping
        input_ids and labels, with attention_mask or, where records are packed, position_ids.

    Returns
    -------
    list of Row or None
        None for a batch of another kind, such as one whose labels are other tokens than its inputs.

    Examples
    --------
    >>> ids, labels = torch.tensor([[7, 8, 9, 5, 0]]), torch.tensor([[-100, -100, 9, 5, -100]])
    >>> (row,) = answer_rows({"input_ids": ids, "labels": labels, "attention_mask": (ids > 0).long()})
    >>> row.context, row.tree.edges
    ([7, 8], ((-1, 9), (0, 5)))
    >>> answer_rows({"input_ids": ids, "labels": labels + 101}) is None
    True
    """
    ids, labels = inputs.get("input_ids"), inputs.get("labels")
    known = {"input_ids", "labels", "attention_mask", "position_ids"}
    if not (torch.is_tensor(ids) and torch.is_tensor(labels)) or set(inputs) - known:
        return None
    counts = labels != IGNORED
    if ids.dim() != 2 or ids.shape != labels.shape or not torch.equal(ids[counts], labels[counts]):
        return None
    mask, positions = inputs.get("attention_mask"), inputs.get("position_ids")
    if mask is not None and mask.shape != ids.shape:
        return None
    rows = []
    for place, (tokens, wanted) in enumerate(zip(ids.tolist(), counts.tolist(), strict=True)):
        seen = [True] * len(tokens) if mask is None else mask[place].bool().tolist()
        begins = [0] if positions is None else [i for i, p in enumerate(positions[place].tolist()) if p == 0]
        for start, stop in zip(begins, [*begins[1:], len(tokens)], strict=True):
            kept = [i for i in range(start, stop) if seen[i]]
            rows += _row([tokens[i] for i in kept], [wanted[i] for i in kept])
    return rows


def _row(tokens: list[int], wanted: list[bool]) -> list[Row]:
    """Return the row of one record, none where nothing counts; nothing stands before the first token."""
    spans: list[tuple[int, int]] = []
    for place in range(1, len(tokens)):
        if wanted[place] and spans and spans[-1][1] == place:
            spans[-1] = (spans[-1][0], place + 1)
        elif wanted[place]:
            spans.append((place, place + 1))
    return [Row(tokens[: spans[0][0]], span_tree(tokens, spans))] if spans else []
