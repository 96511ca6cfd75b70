"""IterIT in a training script: one line gives a Trainer rounds of picked records.

Works with ``transformers.Trainer`` and TRL's ``SFTTrainer``, which keep their training loop: LoRA,
gradient accumulation, mixed precision and several processes are theirs. torch and transformers are
imported when a trainer is given rounds, not with this file.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from debias.errors import ParameterError
from iterit.records.instruction_records import Records, read_records
from iterit.rounds.round_state import RoundSettings, RowArray, WindowMode, first_state, n_picks_of

if TYPE_CHECKING:
    from debias.inference.engine import Engine
    from iterit.templates.encoding import EncodedRecords
    from iterit.templates.template import Template
    from iterit.training.driver import RoundDriver
    from iterit.training.rescoring import ScoreRows


class IterIT:
    """Rounds of scoring, picking and training, put into a trainer by :meth:`attach`.

    An epoch of the trainer is a round: it scores records with the model as it is, picks the share
    ``ratio`` of them, and trains on those. Give the trainer ``num_train_epochs=3`` for three rounds.

    Parameters
    ----------
    records : Records, str, Path or iterable of dict
        What is picked from; paths are read by :func:`iterit.records.instruction_records.read_records`.
    ratio : float, default=0.05
        Share of the records that a round trains.
    mode : str, default="published"
        How complexity and diversity are joined, see :func:`iterit.selection.selection.select`.
    decay : float, default=0.1
        What a pick leaves of the weight of its n-grams: 0.1 for general data, 0 for one domain.
    window : {"top", "published"}, default="top"
        Which records a later round scores again. "published" also appends the tokenizer's end-of-text
        token to each answer before its n-grams are counted, as the published code does.
    update_ratio, above_share, stale_share, min_ifd, max_ifd
        See :class:`iterit.rounds.round_state.RoundSettings`.
    quotas : mapping of source to share or number, optional
        The most picks of a source in a round.
    rows : sequence of int, optional
        Records that take part; all when left out.
    template : {"auto", "chat", "alpaca"}, default="auto"
        In which records are scored and trained.
    engine : Engine, optional
        What scores instead of the trainer's own model; takes its LoRA adapter each round: a
        ``VLLMEngine(..., enable_lora=True)``.
    score_dtype : {"auto", "bfloat16", "float16", "float32"}, default="auto"
        Number format in which the trainer's own model scores; "auto" is the model itself, another one
        takes a copy each round: faster where training is in float32, or an adapter is trained.
    max_tokens : int, optional
        Longer records are cut. Left out: the ``max_length`` of an SFTTrainer, else the model's context.
    epochs_per_round : int, default=1
    cache : path, optional
        Where scores are kept, so that a run that is killed while it scores does not begin anew.
    seed : int, default=0
    show_progress : bool, default=True
    **selection
        Further arguments of :func:`iterit.selection.selection.select`, such as ``embeddings``.

    Attributes
    ----------
    rounds : RoundDriver or None
        The run, once attached: ``rounds.state.picks``, ``rounds.state.scores``, ``rounds.history``.

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> trainer = Trainer(model, args, processing_class=tokenizer)  # doctest: +SKIP
    >>> IterIT("alpaca.jsonl", ratio=0.05).attach(trainer)  # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    >>> IterIT([{"question": "1 + 1?", "answer": "2"}], ratio=0.05)
    Traceback (most recent call last):
    debias.errors.ParameterError: ratio is 0.05: that is less than one of 1 rows; give at least 1
    """

    def __init__(
        self,
        records: Records | str | Path | Iterable[Mapping[str, Any]],
        ratio: float = 0.05,
        *,
        mode: str = "published",
        decay: float = 0.1,
        window: WindowMode = "top",
        update_ratio: float = 3.0,
        above_share: float = 0.1,
        stale_share: float = 0.1,
        min_ifd: float | None = None,
        max_ifd: float = 1.0,
        quotas: Mapping[Any, float] | None = None,
        rows: ArrayLike | None = None,
        template: str = "auto",
        engine: "Engine | None" = None,
        score_dtype: str = "auto",
        max_tokens: int | None = None,
        epochs_per_round: int = 1,
        cache: str | Path | None = None,
        seed: int = 0,
        show_progress: bool = True,
        **selection: Any,
    ) -> None:
        if epochs_per_round < 1:
            raise ParameterError(f"epochs_per_round is {epochs_per_round}; give a number from 1 on")
        self.records = _records_of(records)
        self.rows = np.arange(len(self.records)) if rows is None else np.unique(np.asarray(rows, np.int64))
        self.settings = RoundSettings(
            n_picks=n_picks_of(ratio, len(self.rows)),
            window=window,
            update_ratio=update_ratio,
            above_share=above_share,
            stale_share=stale_share,
            min_ifd=min_ifd,
            max_ifd=max_ifd,
            seed=seed,
        )
        self.ratio, self.mode, self.decay = ratio, mode, decay
        self.quotas, self.selection = quotas, selection
        self.template, self.max_tokens = template, max_tokens
        self.engine, self.score_dtype = engine, score_dtype
        self.epochs_per_round, self.cache, self.show_progress = epochs_per_round, cache, show_progress
        self.rounds: RoundDriver | None = None
        self._counts: Any = None
        self._appended = ""

    def attach(self, trainer: Any) -> Any:
        """Give a trainer rounds, before it trains.

        Its training data are replaced by the records, encoded with the template that scores them;
        its own class stays, below a thin one that adds the sampler.

        Parameters
        ----------
        trainer : transformers.Trainer or trl.SFTTrainer

        Returns
        -------
        The trainer.

        Raises
        ------
        ParameterError
            The trainer is set to something that rounds cannot be put into: see the message.
        """
        from iterit.templates.named_templates import template_for
        from iterit.training.driver import RoundDriver
        from iterit.training.rescoring import Rescorer, refuse_scattered
        from iterit.training.trainer_callback import install
        from iterit.training.training_rows import PaddedBatch, TrainingRows, pad_token_of

        check_trainer(trainer, self.epochs_per_round)
        if self.engine is None:
            refuse_scattered(trainer)
        template = template_for(trainer.processing_class, self.template)
        limit = self.max_tokens or getattr(trainer.args, "max_length", None) or _context_of(trainer)
        encoded = template.encode_all(self.records, max_tokens=limit)
        self.rounds = RoundDriver(
            encoded=encoded,
            settings=self.settings,
            rescorer=Rescorer(
                self._score_rows(template, encoded, limit), encoded.lengths, self.engine, self.score_dtype
            ),
            pick=self._pick,
            state=first_state(len(self.records), self.rows),
            identity=self._identity(template, trainer, limit),
            facts=self._facts(trainer),
            records=self._described(encoded),
            epochs_per_round=self.epochs_per_round,
        )
        if self.settings.window == "published":
            self._appended = trainer.processing_class.eos_token or ""
        install(trainer, self.rounds)
        trainer.train_dataset = TrainingRows(encoded)
        if not _collates_labels(trainer):
            n_known = trainer.model.get_input_embeddings().num_embeddings
            trainer.data_collator = PaddedBatch(pad_token_of(trainer.processing_class, n_known))
        return trainer

    def _score_rows(self, template: "Template", encoded: "EncodedRecords", limit: int | None) -> "ScoreRows":
        """Return what scores rows with an engine, in the tokens that are trained."""
        from iterit.scoring.complexity import score_complexity

        def score_rows(engine: "Engine", rows: RowArray, step: int) -> pd.DataFrame:
            return score_complexity(
                self.records,
                engine,
                template=template,
                rows=rows,
                cache=self.cache,
                step=step,
                max_tokens=limit,
                encoded=encoded,
                show_progress=self.show_progress,
            )

        return score_rows

    def _pick(self, candidates: RowArray, newest: pd.DataFrame, number: int) -> pd.DataFrame:
        """Pick from candidates; n-grams are counted once, when they are first needed."""
        from iterit.ngrams.ngram_counts import count_ngrams
        from iterit.selection.selection import select

        if self._counts is None:
            self._counts = count_ngrams(self.records.responses, end_of_text=self._appended)
        return select(
            newest["ifd"].to_numpy(),
            self._counts,
            min(self.settings.n_picks, len(candidates)),
            mode=self.mode,
            decay=self.decay,
            candidates=candidates,
            sources=self.records.sources,
            quotas=self.quotas,
            min_ifd=self.settings.min_ifd,
            max_ifd=self.settings.max_ifd,
            seed=self.settings.seed,
            round=number,
            **self.selection,
        ).table

    def _identity(self, template: "Template", trainer: Any, limit: int | None) -> dict[str, Any]:
        """List what decides the picks, for checkpoints."""
        rules = vars(self.settings)
        said = hashlib.sha256("".join(self.records.digests).encode()).hexdigest()[:16]
        return {
            **{name: rules[name] for name in rules},
            "mode": self.mode,
            "decay": self.decay,
            "quotas": None if self.quotas is None else {str(k): v for k, v in self.quotas.items()},
            "selection": {name: _said(value) for name, value in sorted(self.selection.items())},
            "epochs_per_round": self.epochs_per_round,
            "records": said,
            "rows": hashlib.sha256(self.rows.tobytes()).hexdigest()[:16],
            "template": template.fingerprint,
            "max_tokens": limit,
            "score_dtype": self.score_dtype,
            "scored_by": "trainer" if self.engine is None else type(self.engine).__name__,
        }

    def _described(self, encoded: "EncodedRecords") -> pd.DataFrame:
        """Words, tokens and source of every record."""
        words = [len(text.split()) for text in self.records.responses]
        return pd.DataFrame({"words": words, "tokens": encoded.lengths, "source": self.records.sources})

    def _facts(self, trainer: Any) -> dict[str, Any]:
        """List what a report tells besides."""
        model = trainer.model
        return {
            "ratio": self.ratio,
            "n_records": len(self.records),
            "n_refused": int(sum(self.records.refused_counts.values())),
            "model": str(getattr(model, "name_or_path", "") or type(model).__name__),
            "n_parameters": int(sum(one.numel() for one in model.parameters())),
            "n_trained_parameters": int(sum(one.numel() for one in model.parameters() if one.requires_grad)),
            "batch_size": int(trainer.args.per_device_train_batch_size),
            "gradient_accumulation_steps": int(trainer.args.gradient_accumulation_steps),
            "n_processes": int(trainer.args.world_size),
            "learning_rate": float(trainer.args.learning_rate),
        }


def check_trainer(trainer: Any, epochs_per_round: int = 1) -> None:
    """Refuse a trainer that rounds cannot be put into.

    Parameters
    ----------
    trainer : transformers.Trainer
    epochs_per_round : int, default=1

    Raises
    ------
    ParameterError
        Naming the argument that is in the way.
    """
    from transformers import Trainer

    if not isinstance(trainer, Trainer):
        raise ParameterError(
            f"trainer is {type(trainer).__name__}; give a transformers.Trainer or SFTTrainer"
        )
    if trainer.processing_class is None:
        raise ParameterError("trainer has no tokenizer; make it with processing_class=tokenizer")
    arguments = trainer.args
    if arguments.max_steps > 0:
        raise ParameterError(
            f"max_steps is {arguments.max_steps}; leave it out: the steps are computed from the picks of"
            " num_train_epochs rounds"
        )
    epochs = arguments.num_train_epochs
    if epochs != int(epochs) or int(epochs) % epochs_per_round:
        raise ParameterError(
            f"num_train_epochs is {epochs:g}; give a multiple of epochs_per_round, {epochs_per_round}: an"
            " epoch is a pass over the picks of a round"
        )
    if getattr(arguments, "packing", False):
        raise ParameterError(
            "packing is True: it joins records before they could be picked; give packing=False"
        )
    if arguments.dataloader_drop_last:
        raise ParameterError("dataloader_drop_last is True: it would drop picks; give False")
    if arguments.ignore_data_skip:
        raise ParameterError("ignore_data_skip is True: a resumed run would train picks twice; give False")


def _records_of(records: Records | str | Path | Iterable[Mapping[str, Any]]) -> Records:
    """Read records, or make them of rows."""
    if isinstance(records, Records):
        return records
    if isinstance(records, str | Path):
        return read_records(records)
    return Records.from_rows(records)


def _said(value: Any) -> str:
    """Return an argument as a short text: equal means equal; of arrays, a digest."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    return repr(value)[:80]


def _context_of(trainer: Any) -> int | None:
    """Context length as the model's configuration tells it."""
    config = trainer.model.config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    length = getattr(config, "max_position_embeddings", None)
    return int(length) if length else None


def _collates_labels(trainer: Any) -> bool:
    """Whether the trainer's collator fills up labels, as its default ones do not."""
    from transformers import DataCollatorWithPadding
    from transformers.data.data_collator import default_data_collator

    collator = trainer.data_collator
    return collator is not default_data_collator and not isinstance(collator, DataCollatorWithPadding)
