"""``debias collect``: ask a model for the class probabilities of a task's texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.cli.options.table_options import LABELS, Seed
from debias.cli.printing.collection_tables import (
    describe_collection,
    describe_shard,
    describe_usage,
    print_tables,
)
from debias.console.option_groups import Only
from debias.console.output_files import check_output
from debias.console.progress import say_at_once
from debias.console.screen import print_lines
from debias.errors import ParameterError, param
from debias.inference.collection.collection_settings import CollectionSettings
from debias.inference.collection.shards.ray_settings import RaySettings
from debias.inference.engine_settings import EngineSettings
from debias.inference.votes.vote_settings import VoteSettings
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.tables.table import ProbabilityTable

CHUNK = 128
"""Prompts between two savings."""

PER_CLASS = "per-class"


@dataclass(frozen=True)
class RowOptions(Settings):
    """Which rows are asked about, and where their solved examples come from."""

    split: str = setting("opt", "Split of the task.")
    data: Path | None = setting(
        None,
        "Read the rows from this file instead (.csv, .tsv, .json, .jsonl, .parquet or .arrow), or from a "
        "folder of such files.",
    )
    shots_split: str = setting(
        "opt", "Split from which the examples are drawn; drawn rows are removed from it."
    )
    shots_data: Path | None = setting(None, "Draw the examples from this file instead.")
    limit: int | None = setting(None, "Number of rows to sample; all by default.")
    unlabelled: bool = setting(False, "The rows have no labels, although the task names a label column.")
    labels: str | None = LABELS


def collect(
    tasks: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK",
            help="agnews, dbpedia, ddi, pubmedqa, rte, sst5, trec, or your own TOML file; one or more.",
        ),
    ],
    *,
    rows: RowOptions,
    shots: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N|per-class,...",
            help="Number of solved examples in the prompt, or per-class for one of each class; 1 by "
            "default. Several values, separated by commas, give one table each.",
        ),
    ] = None,
    seed: Seed = 0,
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N,...",
            help="Several seeds, separated by commas, one table each; zero-shot tables are collected once.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the table; SPLIT.parquet by default. For several tables, a folder; the "
            "current one by default."
        ),
    ] = None,
    collection: Annotated[CollectionSettings, Only("too_long", "keep")],
    reuse: Annotated[
        list[Path] | None,
        typer.Option(help="A table, or a folder of tables, whose answers are reused; may be repeated."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Collect part I of N on this machine; debias merge combines the parts into one table.",
        ),
    ] = None,
    votes: VoteSettings,
    engine: EngineSettings,
    cluster: RaySettings,
) -> None:
    """Collect the class probabilities that a model assigns to texts.

    A table is collected once; everything after that runs without the model. After Ctrl-C, a full disk or
    a crash, rerun the same command to resume where it stopped: answers that were kept are not requested
    again, and a complete table is read, not collected again.

    Example: debias collect agnews --split opt --shots per-class --limit 1000 --out opt.parquet

    Your own: debias collect task.toml --data reviews.csv --shots 0 --model ./my-model --out opt.parquet

    Several: debias collect trec --shots 0,1,5,per-class --seeds 0,1,2 --out tables

    On four machines: debias collect trec --shard 1/4 --out part-1.parquet, and so on to 4/4

    A server: debias collect trec --engine openai --base-url http://127.0.0.1:8000/v1 --model NAME

    One that returns no log-probabilities: the same with --votes 8
    """
    n_shots = [word if word == PER_CLASS else _number("shots", word) for word in _words(shots or ["1"])]
    chosen = [seed] if seeds is None else [_number("seeds", word) for word in _words(seeds)]
    if seeds is not None and seed != 0:
        raise ParameterError(
            f"{param('seed')} cannot be combined with {param('seeds')}",
            parameter="seeds",
            received=chosen,
            fix="omit one of them",
        )
    for word in tasks:
        if word.isdecimal() or word == PER_CLASS:
            raise ParameterError(
                f"{word!r} is not a task",
                parameter="tasks",
                received=word,
                fix=f"separate the values of an option by commas, as in {param('seeds', '0,1,2')}",
            )
    how = replace(
        collection,
        reuse=tuple(reuse or ()),
        chunk_size=CHUNK,
        shard=shard,
        votes=votes if votes.n_votes else None,
    )
    if len(tasks) == 1 and len(n_shots) == 1 and seeds is None:
        target = Path(f"{rows.split}.parquet") if out is None else out
        check_output(target, (".parquet",), is_tried=False)
        if shard is not None and cluster.ray is not None:
            raise ParameterError(
                f"{param('shard')} cannot be combined with {param('ray')}",
                parameter="ray",
                received=cluster.ray,
                fix="omit one of them: a cluster distributes the chunks among its workers itself",
            )
        _collect_one((engine, cluster), tasks[0], rows, n_shots[0], seed, how, target)
    elif shard is not None:
        raise ParameterError(
            "shards are parts of one table, and this command makes several",
            parameter="shard",
            received=shard,
            fix=f"pass one task, one value of {param('shots')} and one {param('seed')}",
        )
    else:
        _collect_several((engine, cluster), tasks, rows, n_shots, chosen, how, out or Path())


def _words(values: Sequence[str]) -> list[str]:
    """Return the values of an option that is repeated, or has commas between its values."""
    return [word.strip() for value in values for word in value.split(",")]


def _number(parameter: str, word: str) -> int:
    """Return one of several numbers."""
    if not word.isdecimal() or int(word) >= 2**32:
        allowed = f"whole numbers from 0 to {2**32 - 1}"
        if parameter == "shots":
            allowed += f", or {PER_CLASS}"
        raise ParameterError(parameter=parameter, received=word, allowed=allowed)
    return int(word)


def _votes_request(how: CollectionSettings) -> dict[str, object]:
    """Return how votes are asked for, to be recorded with the engine; nothing without votes."""
    return {"votes": asdict(how.votes)} if isinstance(how.votes, VoteSettings) else {}


def _collect_one(
    settings: tuple[EngineSettings, RaySettings],
    name: str,
    chosen: RowOptions,
    shots: int | str,
    seed: int,
    how: CollectionSettings,
    target: Path,
) -> None:
    """Collect one table and say how it went."""
    from debias.files.atomic_file import followed
    from debias.inference.collection.collection import collect as collect_table
    from debias.inference.collection.collection import read_finished
    from debias.inference.collection.run_folder import RunFolder
    from debias.inference.collection.shards.ray_chunks import open_engine_or_cluster
    from debias.inference.engine_settings import engine_request
    from debias.inference.texts.prompted_rows import load_prompted_rows
    from debias.inference.texts.tasks import load_task

    task = load_task(name)
    rows = load_prompted_rows(task, shots=shots, seed=seed, **asdict(chosen))
    request = engine_request(settings[0]) | _votes_request(how)
    prompts: dict[str, Any] = {"task": task, **rows._asdict(), "out": target, "too_long": how.too_long}
    prompts["shard"] = how.shard
    finished = read_finished(**prompts, request=request, keep=how.keep)
    if finished is not None:
        say_at_once(f"{target} is already complete: it was read, and the model was not used.")
        print_lines(_described(finished, target, how))
        return
    RunFolder.beside(followed(target)).try_out()
    with open_engine_or_cluster(*settings) as engine:
        table = collect_table(
            engine,
            **prompts,
            seed=seed,
            metadata={"split": chosen.split, "request": request},
            chunk_size=how.chunk_size,
            reuse=how.reuse,
            keep=how.keep,
            votes=how.votes,
        )
        print_lines([*_described(table, target, how), *describe_usage(engine.usage())])


def _described(table: "ProbabilityTable", target: Path, how: CollectionSettings) -> list[str]:
    """Say what was collected; a shard is only part of it."""
    if how.part is None:
        return describe_collection(table, target)
    return describe_shard(len(table), target)


def _collect_several(
    settings: tuple[EngineSettings, RaySettings],
    names: list[str],
    chosen: RowOptions,
    shots: list[int | str],
    seeds: list[int],
    how: CollectionSettings,
    folder: Path,
) -> None:
    """Collect a table for each task, number of demonstrations and seed, and compare them."""
    from debias.inference.collection.grid import collect_planned, plan_tables, read_planned
    from debias.inference.collection.shards.ray_chunks import open_engine_or_cluster
    from debias.inference.engine_settings import engine_request
    from debias.inference.texts.tasks import load_task

    tasks = [load_task(name) for name in names]
    planned = plan_tables(tasks, out=folder, shots=shots, seeds=seeds, **asdict(chosen))
    request = engine_request(settings[0]) | _votes_request(how)
    finished = read_planned(planned, request=request, too_long=how.too_long, keep=how.keep)
    if finished is not None:
        say_at_once("All tables are already complete: they were read, and the model was not used.")
        print_tables(finished, folder)
        return
    with open_engine_or_cluster(*settings) as engine:
        many = collect_planned(
            engine,
            planned,
            metadata={"request": request},
            too_long=how.too_long,
            chunk_size=how.chunk_size,
            reuse=how.reuse,
            keep=how.keep,
            votes=how.votes,
        )
        print_tables(many, folder)
        print_lines(describe_usage(engine.usage()))
