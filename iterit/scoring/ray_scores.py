"""Chunks of records scored by the workers of a Ray cluster: records in, digests and columns of floats out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from debias.errors import ParameterError
from debias.inference.collection.shards.ray_chunks import EngineWorker, RayEngine
from iterit.records.instruction_records import Records
from iterit.scoring.answer_likelihoods import Item, score_items
from iterit.scoring.score_cache import Score
from iterit.templates.named_templates import TEMPLATES, template_for
from iterit.templates.template import Template


class ScoreWorker(EngineWorker):
    """Scores chunks of records with the template of a fingerprint."""

    def __init__(
        self, settings: Mapping[str, Any], fingerprint: str, limit: int, format: str, alone: bool
    ) -> None:
        super().__init__(settings)
        self.template = named_template(self.engine.tokenizer, fingerprint)  # type: ignore[attr-defined]
        self.limit, self.format, self.alone = limit, format, alone

    def __call__(self, batch: Any) -> Any:
        """Score one chunk."""
        records = Records.from_rows(map(json.loads, batch["texts"][0].as_py()), format=self.format)
        encoded = self.template.encode_all(records)
        items = [Item(row, encoded.of(row).cut(self.limit)) for row in range(len(records))]
        scores = score_items(records, self.engine, self.template, items, self.alone)
        columns = zip(Score._fields, zip(*scores, strict=True), strict=True)
        return pa.table({"digest": records.digests, **{name: list(values) for name, values in columns}})


def named_template(tokenizer: Any, fingerprint: str) -> Template:
    """Return the template of a tokenizer that has a fingerprint.

    Raises
    ------
    ParameterError
        It is a template of the user's own, which workers do not have.
    """
    for name in TEMPLATES:
        try:
            template = template_for(tokenizer, name)
        except ParameterError:
            continue
        if template.fingerprint == fingerprint:
            return template
    raise ParameterError(
        "the workers of a Ray cluster have templates by name only",
        parameter="template",
        allowed=f"one of {', '.join(TEMPLATES)}",
    )


def score_ahead(
    records: Records,
    engine: RayEngine,
    template: Template,
    chunks: Sequence[Sequence[Item]],
    limit: int,
    alone: bool = True,
) -> Iterator[list[tuple[str, Score]]]:
    """Yield the scores of chunks with the digests of their records, in any order.

    Parameters
    ----------
    records : Records
    engine : RayEngine
    template : Template
    chunks : sequence of sequence of Item
    limit : int
        Most tokens of a record.
    alone : bool, default=True
        Whether answers are asked about without their questions, too.

    Yields
    ------
    list of (str, Score)
    """
    named_template(engine.tokenizer, template.fingerprint)
    tables = [{"texts": [json.dumps(records.original(item.row)) for item in chunk]} for chunk in chunks]
    made = {"fingerprint": template.fingerprint, "limit": limit, "format": records.format, "alone": alone}
    for table in engine.run(ScoreWorker, tables, **made) if tables else ():
        columns = [table[name].to_pylist() for name in ("digest", *Score._fields)]
        yield [(one, Score(*values)) for one, *values in zip(*columns, strict=True)]
