"""Scores rows with the current weights: in the trainer's own model, or in vLLM with its adapter.

All processes share the rows that the trainer's own model scores. Scoring leaves every random
generator as it was, so that a run that resumes after it continues as if it had never stopped.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np
import pandas as pd

from debias.errors import ParameterError, param
from debias.files.model_writing import writing_model
from debias.inference.models.loading import DTYPES
from debias.settings import check_choice
from iterit.row_numbers import RowArray
from iterit.training.distributed import everywhere, in_first, process_numbers
from iterit.training.scoring_copy import scoring_copy
from iterit.training.trainer_parts import model_of, step_of, tokenizer_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer

    from debias.inference.engine import Engine

EngineScorer = Callable[["Engine", RowArray, int], pd.DataFrame]
"""Scores rows with an engine after a number of training steps: a DataFrame indexed by row."""


@runtime_checkable
class AdapterEngine(Protocol):
    """An engine that takes adapters."""

    def use_adapter(self, folder: Path) -> None:
        """Score with the adapter in a folder from now on."""


@dataclass
class Spent:
    """What scoring took so far.

    Parameters
    ----------
    seconds : float
        Of the first process.
    tokens : int
        Tokens through the model, in all processes; 0 where the engine does not count.
    """

    seconds: float = 0.0
    tokens: int = 0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add the seconds that the block takes."""
        begun = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begun


class Rescorer:
    """Scores rows in the middle of a training run.

    Parameters
    ----------
    score_rows : callable
        Scores rows with an engine.
    lengths : int64 array
        Length of every row, by which processes share the work.
    engine : Engine, optional
        With a method ``use_adapter(folder)``, such as a VLLMEngine: it receives the current adapter
        from the first process. The trainer's own model by default.
    dtype : {"auto", "bfloat16", "float16", "float32"}, default="auto"
        Number format in which the trainer's own model scores: "auto" is the model itself, another one
        takes a copy for each scoring, with an adapter merged in.

    Attributes
    ----------
    adapted : callable
        Turns the folder of the adapter that is trained into one that the engine takes, while it scores.

    Raises
    ------
    ParameterError
        The engine takes no adapter, or the number format is unknown.
    """

    def __init__(
        self,
        score_rows: EngineScorer,
        lengths: RowArray,
        engine: "Engine | None" = None,
        dtype: str = "auto",
    ) -> None:
        if not isinstance(engine, AdapterEngine | None):
            allowed = "an engine that takes adapters, such as a VLLMEngine with enable_lora=True, or omitted"
            raise ParameterError(parameter="engine", received=engine, allowed=allowed)
        check_choice("score_dtype", dtype, DTYPES)
        self.score_rows, self.lengths, self.engine = score_rows, lengths, engine
        self.dtype = dtype
        self.spent = Spent()
        self.adapted: Callable[[Path], AbstractContextManager[Path]] = nullcontext

    def __call__(self, trainer: "Trainer", rows: RowArray) -> pd.DataFrame:
        """Score rows with the current model of a trainer; all processes call it.

        Returns
        -------
        DataFrame
            Indexed by row, in the order of ``rows``; the same in all processes.

        Raises
        ------
        ParameterError
            The trainer's processes hold only parts of the weights, or an engine is given and the model
            has no adapter.
        """
        begun = time.perf_counter()
        with unchanged_randomness():
            if (engine := self.engine) is None:
                parts = everywhere(lambda: self._own_share(trainer, rows))
            else:
                parts = [in_first(lambda: self._with_adapter(engine, trainer, rows))]
        self.spent.seconds += time.perf_counter() - begun
        self.spent.tokens += sum(tokens for _, tokens in parts)
        return pd.concat([table for table, _ in parts]).loc[rows]

    def _own_share(self, trainer: "Trainer", rows: RowArray) -> tuple[pd.DataFrame, int]:
        """Score the rows of this process with its own copy of the model."""
        from debias.inference.transformers.transformers_engine import TransformersEngine

        refuse_scattered(trainer)
        index, count = process_numbers()
        # Long and short rows in turn, so that all processes have the same amount of work.
        own = rows[np.argsort(self.lengths[rows], kind="stable")][index::count]
        with model_to_score(model_of(trainer), self.dtype) as model:
            engine = TransformersEngine(model, tokenizer_of(trainer))
            return self.score_rows(engine, np.sort(own), step_of(trainer)), engine.token_counts.tokens

    def _with_adapter(
        self, engine: AdapterEngine, trainer: "Trainer", rows: RowArray
    ) -> tuple[pd.DataFrame, int]:
        """Score rows in another engine, with the current adapter."""
        with adapter_folder(model_of(trainer)) as folder, self.adapted(folder) as fitting:
            engine.use_adapter(fitting)
            return self.score_rows(cast("Engine", engine), rows, step_of(trainer)), 0


@contextmanager
def model_to_score(model: "PreTrainedModel", dtype: str = "auto") -> "Iterator[PreTrainedModel]":
    """Yield the model that is trained as one to score with, and restore it.

    Mixed precision, which accelerate wraps around the forward pass, is omitted: weights decide.

    Parameters
    ----------
    model : PreTrainedModel or PeftModel
    dtype : {"auto", "bfloat16", "float16", "float32"}, default="auto"
        "auto" is the model itself; another one takes a copy, see :mod:`iterit.training.scoring_copy`.
    """
    import torch

    training = {name: module.training for name, module in model.named_modules()}
    wrapped = model.__dict__.get("forward") if "_original_forward" in model.__dict__ else None
    if wrapped is not None:
        model.__dict__["forward"] = model.__dict__["_original_forward"]
    try:
        wanted = None if dtype == "auto" else getattr(torch, dtype)
        same = wanted is None or (wanted == model.dtype and not hasattr(model, "merge_and_unload"))
        yield model if same else scoring_copy(model, getattr(torch, dtype))
    finally:
        if wrapped is not None:
            model.__dict__["forward"] = wrapped
        for name, module in model.named_modules():
            module.training = training[name]


def refuse_scattered(trainer: "Trainer") -> None:
    """Raise ParameterError for a trainer whose processes hold only parts of the weights."""
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        kind = "FSDP" if trainer.is_fsdp_enabled else "DeepSpeed"
        raise ParameterError(
            f"the trainer uses {kind}, and no process holds the whole model to score with",
            parameter="trainer",
            received=kind,
            fix="train with several processes without it, or train an adapter and pass"
            f" {param('engine')}=VLLMEngine(..., enable_lora=True)",
        )


@contextmanager
def adapter_folder(model: "PreTrainedModel") -> Iterator[Path]:
    """Keep a model's adapter in a temporary folder inside the block.

    Raises
    ------
    ParameterError
        The model has no adapter.
    """
    if not hasattr(model, "peft_config"):
        raise ParameterError(
            "an engine takes adapters only, and the model that is trained has none",
            parameter="engine",
            fix=f"train with LoRA (peft), or omit {param('engine')}, so that the trainer's own model scores",
        )
    with tempfile.TemporaryDirectory(prefix="iterit-adapter-") as folder:
        with writing_model(folder, "a copy of the adapter"):
            model.save_pretrained(folder)
        yield Path(folder)


@contextmanager
def unchanged_randomness() -> Iterator[None]:
    """Leave the random generators of Python, numpy and torch as they were before the block.

    Examples
    --------
    >>> np.random.seed(0)
    >>> with unchanged_randomness():
    ...     _ = np.random.rand(5)
    >>> float(np.random.rand()) == float(np.random.RandomState(0).rand())
    True
    """
    import random

    import torch

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - others may use it
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
