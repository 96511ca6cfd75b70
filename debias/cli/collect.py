"""``debias collect``: ask a model for the class probabilities of a task's texts."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from debias.cli.collection_tables import describe_collection, describe_usage, many_tables
from debias.cli.engine_options import (
    AdapterOption,
    BaseUrl,
    BatchTokens,
    CompileOption,
    Concurrency,
    ContextLength,
    Device,
    Dtype,
    DtypeOption,
    EngineName,
    EngineOption,
    EngineOptions,
    MaxRequests,
    MaxTokens,
    Model,
    PerMinute,
    Scoring,
    ScoringOption,
    StyleOption,
    Tokenizer,
    check_options,
    engine_of,
)
from debias.cli.list_options import numbers, shots_of
from debias.cli.table_options import Seed
from debias.console.command_group import Interrupted
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError

CHUNK = 128
"""Prompts between two savings."""


class TooLong(StrEnum):
    """What happens to a prompt that does not fit into the model's context."""

    error = "error"
    truncate = "truncate"


def collect(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK",
            help="agnews, dbpedia, ddi, pubmedqa, rte, sst5, trec, or a TOML file of your own; or several.",
        ),
    ],
    split: Annotated[str, typer.Option(help="Which rows of the task.")] = "opt",
    data: Annotated[
        Path | None, typer.Option(help="Rows from this .csv, .jsonl, .json or .parquet file instead.")
    ] = None,
    engine: EngineOption = EngineName.transformers,
    model: Model = "demo",
    tokenizer: Tokenizer = None,
    shots: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N|per-class ...",
            help="Solved examples in the prompt: N, or one per class; default 1. Several: a table each.",
        ),
    ] = None,
    shots_split: Annotated[str, typer.Option(help="Split they are drawn from; drawn rows leave it.")] = "opt",
    shots_data: Annotated[Path | None, typer.Option(help="File they are drawn from instead.")] = None,
    seed: Seed = 0,
    seeds: Annotated[
        list[str] | None, typer.Option(metavar="N ...", help="Several seeds: a table each, zero-shot once.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Rows to take at random; all when left out.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the table; SPLIT.parquet when left out. For several tables a folder;"
            " this one when left out."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="Keep the folder of answers (OUT.run): other runs look them up.")
    ] = True,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="A table, or folder of tables, whose answers are looked up, too."),
    ] = None,
    too_long: Annotated[
        TooLong, typer.Option(help="Prompts longer than the context: stop, or shorten the text.")
    ] = TooLong.error,
    scoring: ScoringOption = Scoring.label,
    dtype: DtypeOption = Dtype.auto,
    device: Device = "auto",
    batch_tokens: BatchTokens = None,
    compile: CompileOption = False,
    adapter: AdapterOption = None,
    context_length: ContextLength = None,
    base_url: BaseUrl = None,
    style: StyleOption = None,
    concurrency: Concurrency = None,
    requests_per_minute: PerMinute = None,
    max_requests: MaxRequests = None,
    max_tokens: MaxTokens = None,
) -> None:
    """Collect the class probabilities that a model gives to texts.

    A table is collected once; everything after it runs without the model. Stopped by Ctrl-C, a full
    disk or a crash, the same command goes on where it stopped; no prompt is sent twice, and a finished
    table is read back, not collected again.

    Example: debias collect agnews --split opt --shots per-class --limit 1000 --out opt.parquet

    Your own: debias collect task.toml --data reviews.csv --shots 0 --model ./my-model --out opt.parquet

    Several: debias collect trec --shots 0 1 5 per-class --seeds 0 1 2 --out tables

    A server: debias collect trec --engine openai --base-url http://127.0.0.1:8000/v1 --model NAME
    """
    n_shots = shots_of(shots or ["1"])
    options = EngineOptions(
        str(engine), model, tokenizer, str(scoring), str(dtype), device, batch_tokens, adapter,
        context_length, base_url, None if style is None else str(style), concurrency, requests_per_minute,
        max_requests, max_tokens, compile,
    )  # fmt: skip
    check_options(options)
    if seeds is not None and seed != 0:
        raise ParameterError("--seed and --seeds exclude each other: give one of them.")
    given = {"limit": limit, "data": data, "shots_split": shots_split, "shots_data": shots_data}
    asked = {"too_long": str(too_long), "chunk_size": CHUNK, "reuse": tuple(reuse or ()), "keep": keep}
    if len(tasks) == 1 and len(n_shots) == 1 and seeds is None:
        target = Path(f"{split}.parquet") if out is None else out
        check_output(target, (".parquet",))
        _collect_one(options, tasks[0], split, n_shots[0], seed, given, asked, target)
    else:
        chosen = [seed] if seeds is None else numbers("--seeds", seeds)
        _collect_several(options, tasks, split, n_shots, chosen, given, asked, out or Path())


def _collect_one(
    options: EngineOptions,
    name: str,
    split: str,
    shots: int | str,
    seed: int,
    given: dict[str, Any],
    asked: dict[str, Any],
    target: Path,
) -> None:
    """Collect one table and say how it went."""
    from debias.inference.collection.collection import collect as collect_table
    from debias.inference.texts.prompted_rows import load_prompted_rows
    from debias.inference.texts.tasks import load_task

    task = load_task(name)
    rows = load_prompted_rows(task, split, shots, seed=seed, **given)
    with engine_of(options) as engine:
        try:
            table = collect_table(
                engine,
                task,
                rows.texts,
                rows.labels,
                demonstrations=rows.demonstrations,
                ids=rows.ids,
                out=target,
                seed=seed,
                metadata={"split": split},
                **asked,
            )
        except KeyboardInterrupt as error:
            raise Interrupted(_kept(error)) from error
        print_lines([*describe_collection(table, target), *describe_usage(engine.usage())])


def _collect_several(
    options: EngineOptions,
    names: list[str],
    split: str,
    shots: list[int | str],
    seeds: list[int],
    given: dict[str, Any],
    asked: dict[str, Any],
    folder: Path,
) -> None:
    """Collect a table for each task, number of demonstrations and seed, and compare them."""
    from debias.inference.collection.grid import collect_planned, plan_tables
    from debias.inference.texts.tasks import load_task

    tasks = [load_task(name) for name in names]
    planned = plan_tables(tasks, out=folder, split=split, shots=shots, seeds=seeds, **given)
    with engine_of(options) as engine:
        try:
            many = collect_planned(engine, planned, **asked)
        except KeyboardInterrupt as error:
            raise Interrupted(_kept(error)) from error
        by_table, by_setting = many_tables(many)
        header = ["table", "rows", "accuracy, %", "COBias, points", "label mass, %"]
        print_table(f"Tables in {folder}, uncorrected", header, by_table)
        if len(by_setting) < len(by_table):
            header = ["task", "shots", "tables", "accuracy, %", "±", "COBias, points", "±"]
            print_table("Mean and standard deviation over seeds", header, by_setting, n_names=2)
        print_lines(describe_usage(engine.usage()))


def _kept(error: KeyboardInterrupt) -> str:
    """Say what is kept of an interrupted run, as the run itself does."""
    notes = getattr(error, "__notes__", [])
    return notes[-1].replace("the same call", "the same command") if notes else "no answers were kept yet"
