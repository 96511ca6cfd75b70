"""Trains subsets of a pool, each from the same untrained model, and measures the loss of held-out answers.

What was trained is kept under a digest of all that decides it, so that a stopped audit resumes where it
stopped, and no subset is trained twice.
"""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from debias.errors import ParameterError, RecordsError, param
from debias.files.atomic_file import atomic_path
from debias.inference.collection.answer_store import digest
from iterit.records.instruction_records import Records
from iterit.rounds.round import training_order
from iterit.row_numbers import RowArray, row_numbers
from iterit.templates.named_templates import template_for
from iterit.training.rescoring import unchanged_randomness
from iterit.training.scoring_copy import scoring_copy
from iterit.training.setup.trainer_setup import make_trainer
from iterit.training.setup.training_settings import TrainingSettings
from iterit.training.trainer_parts import model_of, tokenizer_of
from iterit.training.training_rows import TrainingRows

if TYPE_CHECKING:
    from transformers import Trainer

    from debias.inference.engine import Engine
    from debias.inference.transformers.transformers_engine import TransformersEngine
    from iterit.templates.encoding import EncodedRecords
    from iterit.templates.template import Template

Measure = Callable[["Engine"], pd.DataFrame]
"""Measures a trained model by an engine: a DataFrame with plain columns."""

_COLUMNS = {"row": "int64", "loss": "float64", "n_tokens": "int64"}


class SubsetRuns:
    """Trains subsets of a pool and measures each on held-out records.

    Parameters
    ----------
    pool, held_out : Records
    model : str or Path
        A folder that :func:`iterit.training.setup.trainer_setup.trainable_folder` returned, or a hub name.
    training : TrainingSettings
        Its rounds count as epochs over the subset; its seed is replaced by that of each run, and there is no
        warm-up.
    folder : str or Path
        What is done is kept there.
    template : {"auto", "chat", "alpaca"}, default="auto"
    max_tokens : int, optional
        Longer records are cut.
    measures : mapping of str to callable, optional
        Further measurements of each trained model, by name, such as those of a task with an accuracy. The
        name is part of what a run is kept under: another measurement needs another name.

    Attributes
    ----------
    encoded, held_out_encoded : EncodedRecords
    answer_tokens : int64 array, shape (n_pool,)
        Tokens of each record's answers that are trained.
    usable : int64 array
        Rows with at least one such token.

    Raises
    ------
    ParameterError
        There is no held-out record.
    RecordsError
        None has an answer that fits.

    Examples
    --------
    >>> runs = SubsetRuns(pool, held_out, "my-model", TrainingSettings(rounds=1), "audit")  # doctest: +SKIP
    >>> runs.run(np.array([3, 1, 4]), seed=0).by_token  # doctest: +SKIP
    >>> pool = Records.from_rows([{"question": "1 + 1?", "answer": "2"}])
    >>> SubsetRuns(pool, pool.take([]), "my-model", TrainingSettings(), "audit")
    Traceback (most recent call last):
    debias.errors.ParameterError: held_out must be at least one record, got 0.
    """

    def __init__(
        self,
        pool: Records,
        held_out: Records,
        model: str | Path,
        training: TrainingSettings,
        folder: str | Path,
        *,
        template: str = "auto",
        max_tokens: int | None = None,
        measures: Mapping[str, Measure] | None = None,
    ) -> None:
        if not len(held_out):
            raise ParameterError(parameter="held_out", received=0, allowed="at least one record")
        from transformers import AutoTokenizer

        self.pool, self.held_out, self.model = pool, held_out, model
        self.training, self.folder = replace(training, bf16=training.mixed_precision), Path(folder)
        self.measures = dict(measures or {})
        self.max_tokens = max_tokens
        tokenizer = AutoTokenizer.from_pretrained(str(model))
        self.template: Template = template_for(tokenizer, template)
        self.encoded: EncodedRecords = self.template.encode_all(pool, max_tokens=max_tokens)
        self.held_out_encoded: EncodedRecords = self.template.encode_all(held_out, max_tokens=max_tokens)
        self.answer_tokens = np.array([one.n_answer_tokens for one in self.encoded], dtype=np.int64)
        self.usable = np.flatnonzero(self.answer_tokens)
        if not any(one.spans for one in self.held_out_encoded):
            raise RecordsError(
                "no held-out record has an answer that fits into the context",
                received=len(held_out),
                fix=f"use other held-out records, or a larger {param('max_tokens')}",
            )

    def run(self, rows: RowArray, seed: int) -> "SubsetRun":
        """Train some rows, or read what training them gave.

        Parameters
        ----------
        rows : int64 array
            Where there is none, the untrained model is measured.
        seed : int
            Of the adapter and of the order of the rows.

        Returns
        -------
        SubsetRun
        """
        rows = row_numbers(rows, len(self.pool))
        place = self.path_of(rows, seed)
        kept = _read(place, self.measures)
        if kept is None:
            kept = self._trained(rows, seed)
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(kept, place)
        return kept

    def path_of(self, rows: RowArray, seed: int) -> Path:
        """Return the file in which a run is kept once it is done."""
        return self.folder / f"{self._key(rows, seed)}.parquet"

    @cached_property
    def _decides(self) -> dict[str, object]:
        """Return what decides the result of each run beside its rows and its seed."""
        from debias.inference.models.loading import load_model
        from debias.inference.transformers.transformers_engine import TransformersEngine

        training = {
            k: v for k, v in asdict(self.training).items() if k not in ("seed", "save_steps", "device")
        }
        return {
            "engine": TransformersEngine(*load_model(self.model, None)).fingerprint,
            "template": self.template.fingerprint,
            "max_tokens": self.max_tokens,
            "training": training,
            "held out": digest("".join(self.held_out.digests)).hex(),
            "measures": sorted(self.measures),
        }

    def _key(self, rows: RowArray, seed: int) -> str:
        said = [self._decides, seed if len(rows) else 0, [self.pool.digests[row] for row in rows.tolist()]]
        return digest(json.dumps(said, sort_keys=True, default=str)).hex()

    def engine_after(self, rows: RowArray, seed: int) -> "TransformersEngine":
        """Return an engine with the model that some rows trained, in float32; nothing is kept.

        Parameters
        ----------
        rows : int64 array
        seed : int
        """
        import torch

        from debias.inference.transformers.transformers_engine import TransformersEngine

        with unchanged_randomness():
            trainer = make_trainer(self.model, self.folder / "trainer", replace(self.training, seed=seed))
            if len(rows):
                self._train(trainer, rows, seed)
            return TransformersEngine(scoring_copy(model_of(trainer), torch.float32), tokenizer_of(trainer))

    def _trained(self, rows: RowArray, seed: int) -> "SubsetRun":
        """Train some rows and measure the model."""
        began = time.perf_counter()
        engine = self.engine_after(rows, seed)
        trained = time.perf_counter()
        losses = self._losses(engine)
        n_epochs = self.training.rounds * self.training.epochs_per_round
        facts = {
            "n_rows": len(rows),
            "answer_tokens": int(self.answer_tokens[rows].sum()) * n_epochs,
            "trained_tokens": int(self.encoded.lengths[rows].sum()) * n_epochs,
            "seconds_training": trained - began,
            "seconds_measuring": time.perf_counter() - trained,
        }
        with unchanged_randomness():
            more = {name: measure(engine) for name, measure in self.measures.items()}
        return SubsetRun(losses, more, facts)

    def _train(self, trainer: "Trainer", rows: RowArray, seed: int) -> None:
        """Train rows in an order of their own in each epoch, without checkpoints."""
        from torch.utils.data import SequentialSampler, Subset
        from transformers.trainer_callback import PrinterCallback
        from transformers.trainer_utils import SaveStrategy

        from debias.inference.models.loading import quiet
        from iterit.training.own_trainers.trainer_data import set_rows

        set_rows(trainer, self.encoded)
        per_step = self.training.batch_size * self.training.gradient_accumulation
        n_epochs = self.training.rounds * self.training.epochs_per_round
        lengths = self.encoded.lengths
        orders = [training_order(rows, seed, epoch, lengths, per_step) for epoch in range(n_epochs)]
        subset = Subset(TrainingRows(self.encoded), np.concatenate(orders).tolist())
        trainer.train_dataset = subset  # one pass over the rows of all epochs
        trainer.args.num_train_epochs = 1
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.args.warmup_steps = 0  # a run has few steps, and the first one of a warm-up trains nothing
        trainer.remove_callback(PrinterCallback)
        trainer._get_train_sampler = lambda *_: SequentialSampler(subset)  # type: ignore[method-assign]
        with quiet():
            trainer.train()

    def _losses(self, engine: "TransformersEngine") -> pd.DataFrame:
        """Return the mean negative log-likelihood of the answers of each held-out record that has one."""
        wholes = [one.cut(engine.context_length) for one in self.held_out_encoded]
        filled = [row for row, one in enumerate(wholes) if one.spans]
        found = engine.span_logprobs(
            [wholes[row].tokens.tolist() for row in filled],
            [[(span.start, span.stop) for span in wholes[row].spans] for row in filled],
        )
        table = {
            "row": filled,
            "loss": [-float(own.mean()) for own in found],
            "n_tokens": [len(own) for own in found],
        }
        return pd.DataFrame(table).astype(_COLUMNS)


class SubsetRun:
    """What training a subset gave.

    Parameters
    ----------
    losses : DataFrame
        Of each held-out record: row, loss (mean nats of its answers' tokens) and n_tokens.
    more : dict of str to DataFrame
        Further measurements, by name.
    facts : dict
        n_rows, answer_tokens, trained_tokens, seconds_training and seconds_measuring.
    """

    def __init__(
        self, losses: pd.DataFrame, more: Mapping[str, pd.DataFrame], facts: Mapping[str, float]
    ) -> None:
        self.losses, self.more, self.facts = losses, dict(more), dict(facts)

    @property
    def by_token(self) -> float:
        """Mean loss over all held-out tokens: long answers weigh more."""
        return float(np.average(self.losses["loss"], weights=self.losses["n_tokens"]))

    @property
    def by_record(self) -> float:
        """Mean loss over held-out records."""
        return float(self.losses["loss"].mean())


def _write(run: SubsetRun, place: Path) -> None:
    """Write a run whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = json.dumps(
        {"facts": run.facts, "more": {name: frame.to_dict("list") for name, frame in run.more.items()}}
    )
    table = pa.Table.from_pandas(run.losses, preserve_index=False)
    table = table.replace_schema_metadata({"subset": said, "checksum": _checksum(run.losses, said)})
    with atomic_path(place) as temporary:
        pq.write_table(table, temporary)


def _read(place: Path, measures: Mapping[str, Measure]) -> SubsetRun | None:
    """Read a run; None where there is none, or, with a warning, where its bytes have changed."""
    if not place.exists():
        return None
    run = _whole(place, measures)
    if run is None:
        warnings.warn(f"{place}: this trained subset is damaged, and is trained again", stacklevel=3)
    return run


def _whole(place: Path, measures: Mapping[str, Measure]) -> SubsetRun | None:
    """Read a run; None where it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(place)
        found = table.schema.metadata or {}
        text = found[b"subset"].decode()
        said = json.loads(text)
        losses = table.to_pandas().astype(_COLUMNS)[list(_COLUMNS)]
        more = {name: pd.DataFrame(said["more"][name]) for name in measures}
        run = SubsetRun(losses, more, {name: float(value) for name, value in said["facts"].items()})
        if found[b"checksum"].decode() != _checksum(losses, text) or not np.isfinite(losses["loss"]).all():
            return None
        return run
    except (OSError, pa.ArrowException, ValueError, LookupError, TypeError, AttributeError):
        return None


def _checksum(losses: pd.DataFrame, said: str) -> str:
    return digest(said, b"".join(np.ascontiguousarray(losses[name]).tobytes() for name in _COLUMNS)).hex()
