"""Joins packs to one line without padding: positions begin anew with each record.

A model of transformers keeps records apart by these positions. Whether the one that is trained does is
tried out: the answers of a packed record must be those that it has alone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from debias.errors import ParameterError, param
from iterit.templates.encoding import IGNORED
from iterit.training.packing.pack_plan import Pack
from iterit.training.rescoring import unchanged_randomness
from iterit.training.trainer_parts import model_of
from iterit.training.training_rows import FILLER, RowLabels, TrainingRows

if TYPE_CHECKING:
    from transformers import Trainer

_TRIED = (7, 5)
_TOLERANCES = {torch.bfloat16: 0.1, torch.float16: 0.02}


class PackLabels(RowLabels):
    """Labels of a pack, with the lengths of its records.

    Parameters
    ----------
    labels : iterable of int
    lengths : list of int
    """

    def __init__(self, labels: Iterable[int], lengths: list[int]) -> None:
        super().__init__(labels)
        self.lengths = lengths


class PackedRows(TrainingRows):
    """Packs of records as examples for a trainer."""

    def __getitem__(self, row: int | Pack) -> dict[str, list[int]]:
        rows = (FILLER,) if isinstance(row, int) else row
        return joined([super(PackedRows, self).__getitem__(one) for one in rows])


def joined(examples: list[dict[str, list[int]]]) -> dict[str, list[int]]:
    """Join the examples of records to one of a pack; no record is asked for the first token of another.

    Examples
    --------
    >>> found = joined([{"input_ids": [5, 6], "labels": [5, 6]}, {"input_ids": [7], "labels": [7]}])
    >>> found["input_ids"], found["labels"], found["labels"].lengths
    ([5, 6, 7], [-100, 6, -100], [2, 1])
    """
    tokens = [token for one in examples for token in one["input_ids"]]
    labels = [label for one in examples for label in [IGNORED, *one["labels"][1:]]]
    lengths = [len(one["input_ids"]) for one in examples]
    return {"input_ids": tokens, "attention_mask": [1] * len(tokens), "labels": PackLabels(labels, lengths)}


def packed_batch(examples: list[Any]) -> dict[str, torch.Tensor]:
    """Join packs to a batch: one line of all their records.

    Parameters
    ----------
    examples : list of dict
        Of :class:`PackedRows`.

    Returns
    -------
    dict
        input_ids, labels and position_ids, of shape (1, n_tokens).

    Examples
    --------
    >>> pack = joined([{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}])
    >>> packed_batch([pack, pack])["position_ids"]
    tensor([[0, 1, 0, 0, 1, 0]])
    """
    lengths = [length for one in examples for length in one["labels"].lengths]
    return {
        "input_ids": torch.tensor([[token for one in examples for token in one["input_ids"]]]),
        "labels": torch.tensor([[label for one in examples for label in one["labels"]]]),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
    }


def check_apart(
    trainer: "Trainer", join: Callable[[list[Any]], Mapping[str, Any]], parameter: str = "packing"
) -> None:
    """Refuse to join records for a model that lets one of them see the others.

    Parameters
    ----------
    trainer : transformers.Trainer
    join : callable
        Joins examples of records to a batch of one line.
    parameter : str, default="packing"
        The parameter that asks for it.

    Raises
    ------
    ParameterError
        The model does, or cannot be asked.
    """
    model = model_of(trainer)
    device = model.device
    source = torch.Generator().manual_seed(0)
    size = cast(torch.nn.Embedding, model.get_input_embeddings()).num_embeddings
    drawn = [torch.randint(0, size, (n,), generator=source).tolist() for n in _TRIED]
    examples = [
        {"input_ids": one, "attention_mask": [1] * len(one), "labels": RowLabels([IGNORED, *one[1:]])}
        for one in drawn
    ]
    was_training = model.training
    problem = "shows each of the records that are joined to a line the ones before it"
    try:
        with torch.no_grad(), unchanged_randomness(), trainer.accelerator.autocast():
            model.eval()
            line = {
                name: value.to(device) if torch.is_tensor(value) else value
                for name, value in join(examples).items()
                if name != "labels"
            }
            together = model(**line, use_cache=False).logits.flatten(0, 1)[_TRIED[0] : sum(_TRIED)]
            alone = model(input_ids=torch.tensor([drawn[1]], device=device), use_cache=False).logits[0]
        tolerance = _TOLERANCES.get(alone.dtype, 1e-3)
        if float((together - alone).float().abs().max()) <= tolerance * float(alone.float().std()):
            return
    except (RuntimeError, TypeError, ValueError) as error:
        problem = f"cannot be called with positions: {(str(error).splitlines() or [''])[0][:200]}"
    finally:
        model.train(was_training)
    raise ParameterError(
        f"{type(model).__name__} {problem}",
        parameter=parameter,
        received=True if parameter == "packing" else type(join).__name__,
        allowed="False with this model" if parameter == "packing" else "one that pads, with this model",
        fix=f"omit {param(parameter)}, or use a model and an attention that keep joined records apart",
    )
