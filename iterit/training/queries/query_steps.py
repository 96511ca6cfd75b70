"""Trains a copy of a model a few small steps on query records, so that loss drops tell influence.

For one small step of plain gradient descent with rate r, the loss of another record falls, to first
order, by r times the dot product of both gradients: its influence on the query (Pruthi et al., TracIn,
NeurIPS 2020; Xia et al., LESS, ICML 2024). So two scoring passes of any engine, before and after the
step, tell the influence of every record, and no gradient of theirs is computed. Adam would divide each
gradient by its own size, and the drops would tell something else.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from debias.errors import EngineError, ParameterError, RecordsError, param
from debias.files.model_writing import writing_model
from debias.inference.models.new_adapter import with_adapter
from debias.settings import check_positive_integer
from iterit.records.instruction_records import Records
from iterit.scoring.score_run import template_of, token_limit
from iterit.templates.encoding import IGNORED
from iterit.templates.template import check_some_taken
from iterit.training.rescoring import unchanged_randomness
from iterit.training.scoring_copy import scoring_copy

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

    from debias.inference.transformers.transformers_engine import TransformersEngine
    from iterit.templates.encoding import Encoded
    from iterit.templates.template import Template


@dataclass(frozen=True)
class QuerySteps:
    """A model after some steps on a query.

    Parameters
    ----------
    engine : TransformersEngine
        Scores with the trained copy, in float32, an adapter merged in.
    adapter : Path or None
        Folder of the adapter, for ``use_adapter`` of a VLLMEngine; None where none was written.
    losses : tuple of float
        Mean loss of the query in nats, before each step and after the last.
    learning_rates : tuple of float
        Of each step.
    """

    engine: "TransformersEngine"
    adapter: Path | None
    losses: tuple[float, ...]
    learning_rates: tuple[float, ...]


def trained_on(
    model: "str | Path | TransformersEngine",
    records: Records,
    out: str | os.PathLike[str] | None = None,
    *,
    steps: int = 1,
    learning_rate: float | None = None,
    query_drop: float = 0.02,
    template: "Template | None" = None,
    max_tokens: int | None = None,
    lora_rank: int | None = 16,
    seed: int = 0,
) -> QuerySteps:
    """Train a copy of a model a few steps of gradient descent on all query records.

    Each step follows the mean gradient of all records; a record's loss is the mean over its answers'
    tokens, without dropout, in float32. Records are taken one by one, so that memory is needed for one.

    Parameters
    ----------
    model : str, Path or TransformersEngine
        Not changed; an adapter that it has is merged into the copy.
    records : Records
        The query: some tens of examples of what the model is to learn.
    out : path-like, optional
        Folder in which the adapter is saved, as peft saves it.
    steps : int, default=1
        One follows the gradient itself; more of them follow it as it changes.
    learning_rate : float, optional
        By default each step has the rate at which ``query_drop`` is reached.
    query_drop : float, default=0.02
        Nats by which all steps together are to lower the mean loss of the query, to first order. The
        rate then suits any model. Larger steps are less true to the gradient; in smaller ones the drops
        of records get near the rounding of float32.
    template : Template, optional
        That of the model's tokenizer if omitted.
    max_tokens : int, optional
        Longer records are cut; the model's context if omitted.
    lora_rank : int or None, default=16
        Rank of an adapter on all matrices of the layers. None: all weights are trained.
    seed : int, default=0
        Draws one half of an adapter's matrices; the other half starts with zeros.

    Returns
    -------
    QuerySteps

    Raises
    ------
    EngineError
        The loss or its gradient is not finite, or there is no gradient.
    MissingDependencyError
        peft is not installed, and an adapter is to be trained.
    ParameterError
        A parameter is not allowed.
    RecordsError
        No record has an answer that can be trained on.

    Examples
    --------
    >>> engine = TransformersEngine("demo", dtype="float32")  # doctest: +SKIP
    >>> trained = trained_on(engine, query)  # doctest: +SKIP
    >>> before, after = (answer_losses(pool, one) for one in (engine, trained.engine))  # doctest: +SKIP
    >>> influence = loss_drop(before, after)["value"]  # doctest: +SKIP
    >>> trained_on("demo", Records.from_rows([]), query_drop=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: query_drop must be a finite number above 0, got 0.
    """
    _check(steps, learning_rate, query_drop, lora_rank, out)
    engine = _engine_of(model)
    asked = _trainable(records, engine, template, max_tokens)
    losses, rates = [], []
    with unchanged_randomness():
        trained = _copy_to_train(engine.model, lora_rank, seed)
    for _ in range(steps):
        losses.append(_add_gradients(trained, asked))
        rates.append(learning_rate or query_drop / steps / _squared_gradient(trained))
        _descend(trained, rates[-1])
    losses.append(_mean_loss(trained, asked))
    folder = None if out is None else Path(out)
    if folder is not None:
        with writing_model(folder, "the adapter"):
            trained.save_pretrained(folder, save_embedding_layers=False)  # it has none
    return QuerySteps(_engine_over(trained, engine), folder, tuple(losses), tuple(rates))


def answer_loss(model: "PreTrainedModel", encoded: "Encoded") -> "torch.Tensor":
    """Return the mean negative log-likelihood of a record's answer tokens, in nats, with its graph.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
    encoded : Encoded
        With a token of an answer after its first token.

    Returns
    -------
    tensor, shape ()
    """
    import torch

    device = next(model.parameters()).device
    tokens = torch.tensor([encoded.input_ids], device=device)
    labels = torch.tensor(encoded.labels[1:], device=device)
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)


def _check(
    steps: int,
    learning_rate: float | None,
    query_drop: float,
    lora_rank: int | None,
    out: str | os.PathLike[str] | None,
) -> None:
    """Raise ParameterError for what is not allowed."""
    check_positive_integer("steps", steps)
    check_positive_integer("lora_rank", lora_rank, or_none=True)
    for name, value in (("query_drop", query_drop), ("learning_rate", learning_rate)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ParameterError(parameter=name, received=value, allowed="a finite number above 0")
    if out is not None and lora_rank is None:
        raise ParameterError(
            "only an adapter is saved, and all weights are trained",
            parameter="out",
            received=str(out),
            fix=f"omit it, or pass {param('lora_rank')}",
        )


def _engine_of(model: "str | Path | TransformersEngine") -> "TransformersEngine":
    """Return an engine of transformers, loaded if it is named."""
    from debias.inference.transformers.transformers_engine import TransformersEngine

    if isinstance(model, str | Path):
        return TransformersEngine(model, dtype="float32")
    if not isinstance(model, TransformersEngine):
        allowed = "a name, a path, or a TransformersEngine"
        raise ParameterError(parameter="model", received=model, allowed=allowed)
    return model


def _trainable(
    records: Records, engine: "TransformersEngine", template: "Template | None", max_tokens: int | None
) -> "list[Encoded]":
    """Return the tokens of the records that have an answer within the limit."""
    template = template or template_of(engine)
    encoded = template.encode_all(records, max_tokens=token_limit(engine, max_tokens))
    check_some_taken(encoded.refused, len(records))
    asked = [one for one in encoded if any(span.stop > max(span.start, 1) for span in one.spans)]
    if not asked:
        raise RecordsError(
            f"none of the {len(records)} query records has an answer to train on",
            fix=f"pass records with answers, or a larger {param('max_tokens')}",
        )
    return asked


def _copy_to_train(model: "PreTrainedModel", lora_rank: int | None, seed: int) -> "PreTrainedModel":
    """Return a copy in float32, ready to be trained without dropout."""
    import torch

    copied = scoring_copy(model, torch.float32)
    if lora_rank is None:
        copied.requires_grad_(True)
    else:
        torch.manual_seed(seed)
        copied = cast("PreTrainedModel", with_adapter(copied, lora_rank))
    return copied.eval()


def _add_gradients(model: "PreTrainedModel", asked: "Sequence[Encoded]") -> float:
    """Leave the gradient of the mean loss in the parameters; return the loss."""
    model.zero_grad()
    total = 0.0
    for one in asked:
        loss = answer_loss(model, one) / len(asked)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _squared_gradient(model: "PreTrainedModel") -> float:
    """Return the squared length of the gradient: by so much, times the rate, a step lowers the loss."""
    found = sum(float(one.grad.double().square().sum()) for one in model.parameters() if one.grad is not None)
    if not (found > 0 and math.isfinite(found)):
        raise EngineError(
            f"the squared gradient of the query's loss is {found:g}; it must be finite and above 0",
            received=found,
            fix="look at the query records, and at the model's losses of them",
        )
    return found


def _descend(model: "PreTrainedModel", rate: float) -> None:
    """Take a step against the gradient."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=rate)
                parameter.grad = None


def _mean_loss(model: "PreTrainedModel", asked: "Sequence[Encoded]") -> float:
    """Return the mean loss of records."""
    import torch

    with torch.no_grad():
        return sum(float(answer_loss(model, one)) for one in asked) / len(asked)


def _engine_over(trained: "PreTrainedModel", engine: "TransformersEngine") -> "TransformersEngine":
    """Return an engine that scores with the trained copy, an adapter merged in."""
    from debias.inference.transformers.transformers_engine import TransformersEngine

    if hasattr(trained, "merge_and_unload"):
        trained = cast("PeftModel", trained).merge_and_unload()
    return TransformersEngine(trained, engine.tokenizer, max_batch_tokens=engine.max_batch_tokens)
