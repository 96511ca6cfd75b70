"""Says whether a batch holds the records that it was made of: their tokens, their labels, their number.

Rows may be in any order, padded at any side, or joined to one line.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from iterit.templates.encoding import IGNORED

Example = Mapping[str, Sequence[int]]


def changes(batch: object, examples: Sequence[Example], n_known: int) -> str:
    """Say what was changed where records were joined to a batch.

    Parameters
    ----------
    batch : mapping of str to tensor
        With input_ids and labels; what attention does not see is padding.
    examples : sequence of dict
        The records, as they are.
    n_known : int
        Tokens that the model knows.

    Returns
    -------
    str
        Empty where all is as it was.

    Examples
    --------
    >>> record = {"input_ids": [5, 6], "labels": [-100, 6]}
    >>> batch = {"input_ids": torch.tensor([[5, 6, 0]]), "labels": torch.tensor([[-100, 6, -100]])}
    >>> changes(batch, [record], 9)
    ''
    >>> changes(batch | {"labels": batch["input_ids"]}, [record], 9)
    'changes labels: other tokens than those of the answers would be trained'
    """
    if not (isinstance(batch, Mapping) and {"input_ids", "labels"} <= set(batch)):
        return "gives no batch with input_ids and labels"
    tokens, labels = (torch.as_tensor(batch[name]).cpu() for name in ("input_ids", "labels"))
    if tokens.shape != labels.shape or tokens.dim() not in (1, 2):
        return "gives input_ids and labels of different shapes"
    if tokens.numel() and int(tokens.max()) >= n_known:
        return f"pads with token {int(tokens.max())}, and the model knows tokens up to {n_known - 1}"
    seen: torch.Tensor | None = None
    if (mask := batch.get("attention_mask")) is not None and torch.as_tensor(mask).shape == tokens.shape:
        seen = torch.as_tensor(mask).cpu() != 0
    if is_joined(batch, len(examples)):
        examples = [in_one_line(examples)]
        tokens, labels = tokens.reshape(1, -1), labels.reshape(1, -1)
        seen = None if seen is None else seen.reshape(1, -1)
    elif tokens.dim() == 1:
        tokens, labels = tokens[None], labels[None]
        seen = None if seen is None else seen[None]
    left = list(examples)
    for number in range(len(tokens)):
        row = tokens[number].tolist(), labels[number].tolist()
        held = None if seen is None else seen[number].tolist()
        found = next((place for place, one in enumerate(left) if _is_of(row, held, one)), None)
        if found is None:
            return _named(labels, examples)
        del left[found]
    return ""


def places_of(batch: Mapping[str, Any], examples: Sequence[Example]) -> set[int] | None:
    """Return which of some records the rows of a batch are; a batch may be a part of what was joined.

    Parameters
    ----------
    batch : mapping of str to tensor
        With labels, and with input_ids, or with vectors in their place.
    examples : sequence of dict

    Returns
    -------
    set of int or None
        None where a row that is trained is none of the records.

    Examples
    --------
    >>> records = [{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7, 8], "labels": [-100, 8]}]
    >>> tokens, labels = torch.tensor([[7, 8, 0]]), torch.tensor([[-100, 8, -100]])
    >>> places_of({"input_ids": tokens, "labels": labels}, records)
    {1}
    >>> places_of({"input_ids": tokens, "labels": tokens}, records) is None
    True
    """
    labels = torch.as_tensor(batch["labels"]).cpu()
    tokens, mask = batch.get("input_ids"), batch.get("attention_mask")
    if labels.dim() != 2 or (tokens is not None and torch.as_tensor(tokens).shape != labels.shape):
        return None
    rows = [None] * len(labels) if tokens is None else torch.as_tensor(tokens).tolist()
    is_seen = mask is not None and torch.as_tensor(mask).shape == labels.shape
    masks = (torch.as_tensor(mask) != 0).tolist() if is_seen else [None] * len(labels)
    found = set()
    for row, own, seen in zip(rows, labels.tolist(), masks, strict=True):
        if not _n_trained(own):
            continue
        place = next((n for n, one in enumerate(examples) if _is_part(row, own, seen, one)), None)
        if place is None:
            return None
        found.add(place)
    return found


def _is_part(tokens: list[int] | None, labels: list[int], seen: list[bool] | None, example: Example) -> bool:
    """Tell whether a row is a record; of a row of vectors the labels tell."""
    if tokens is None:
        return _trained(labels) == _trained(example["labels"])
    return _is_of((tokens, labels), seen, example)


def is_joined(batch: Mapping[str, Any], n_examples: int) -> bool:
    """Tell whether records are joined: the batch has not a row for each of them."""
    shape = torch.as_tensor(batch["input_ids"]).shape
    return (shape[0] if len(shape) > 1 else 1) != n_examples


def in_one_line(examples: Sequence[Example]) -> dict[str, list[int]]:
    """Join records to one; no record is asked for the first token of another."""
    tokens = [token for one in examples for token in one["input_ids"]]
    labels = [label for one in examples for label in [IGNORED, *one["labels"][1:]]]
    return {"input_ids": tokens, "labels": labels}


def _is_of(row: tuple[list[int], list[int]], seen: list[bool] | None, example: Example) -> bool:
    """Tell whether a row of tokens and labels is a record, and padding that is not trained."""
    tokens, labels = row
    wanted = list(example["input_ids"]), list(example["labels"])
    padding = len(tokens) - len(wanted[0])
    if padding < 0 or _n_trained(labels) != _n_trained(wanted[1]):
        return False
    if seen is not None:
        kept = [place for place, is_seen in enumerate(seen) if is_seen]
        return ([tokens[place] for place in kept], [labels[place] for place in kept]) == wanted
    return any(
        (tokens[begin : begin + len(wanted[0])], labels[begin : begin + len(wanted[0])]) == wanted
        for begin in {0, padding}
    )


def _trained(labels: Sequence[int]) -> list[int]:
    """Return the labels that count in the loss."""
    return [label for label in labels if label != IGNORED]


def _n_trained(labels: Sequence[int]) -> int:
    """Return how many tokens count in the loss."""
    return sum(label != IGNORED for label in labels)


def _named(labels: torch.Tensor, examples: Sequence[Example]) -> str:
    """Name what is not as it was."""
    given = Counter(label for one in examples for label in one["labels"] if label != IGNORED)
    if Counter(labels[labels != IGNORED].tolist()) != given:
        return "changes labels: other tokens than those of the answers would be trained"
    return "changes input_ids, or which of them attention sees"
