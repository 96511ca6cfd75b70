"""``debias tune``: train a prompted classifier by forward passes alone, then fit a correction after it."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from debias.cli.options.fit_options import Method, MethodOption
from debias.cli.options.table_options import LABELS
from debias.console.command_group import keeping
from debias.console.option_groups import Only
from debias.console.output_files import make_folder
from debias.console.progress import counted_progress, say_at_once
from debias.console.screen import print_lines, print_table
from debias.errors import OverlapError, ParameterError, param
from debias.files.model_writing import writing_model
from debias.inference.engine_settings import EngineSettings
from debias.inference.zeroth_order.zeroth_order_settings import ZerothOrderSettings
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from debias.estimators.base_debiaser import BaseDebiaser
    from debias.inference.texts.prompted_rows import PromptedRows
    from debias.inference.transformers.transformers_engine import TransformersEngine
    from debias.inference.zeroth_order.class_training import ClassTraining
    from debias.reports.tuned.tuned_report import TunedReport
    from debias.tables.table import ProbabilityTable

WAYS = ("zero-shot", "correction alone", "tuned", "tuned + correction")
"""What the report compares; zero-shot is the model as it is, with whatever examples its prompts have."""


@dataclass(frozen=True)
class TuneRows(Settings):
    """Labelled rows, and held-out rows to judge on."""

    data: Path | None = setting(None, "File of labelled rows; the opt split of the task by default.")
    test_data: Path | None = setting(
        None, "File of held-out rows; by default the test split of the task, or 30 % of the labelled rows."
    )
    limit: int | None = setting(None, "Number of labelled rows to sample; all by default.", least=1)
    test_limit: int | None = setting(None, "Number of held-out rows to sample; all by default.", least=1)
    shots: int = setting(
        0, "Number of solved examples in the prompt; drawn rows are removed from the labelled ones.", least=0
    )
    labels: str | None = LABELS


@dataclass(frozen=True)
class TuneOptions(Settings):
    """What is trained, and what the correction gets."""

    balanced: bool = setting(
        False, "Give every class the same weight in the loss, regardless of its number of rows."
    )
    lora_rank: int | None = setting(
        None, "Train a LoRA adapter of this rank; by default, all weights are trained.", least=1
    )
    correction_share: float = setting(
        0.3, "Share of the labelled rows reserved for the correction.", above=0, most=0.9
    )
    save_model: bool = setting(False, "Save the trained model, or its adapter, to the folder 'model'.")


class Divided(NamedTuple):
    """Rows by what they are for; places of `labelled` that train, and that only correct."""

    labelled: "PromptedRows"
    training: list[int]
    correcting: list[int]
    test: "PromptedRows"


def tune(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task such as sst5, or your own TOML file.")],
    *,
    rows: TuneRows,
    out: Annotated[
        Path, typer.Option(help="Output folder for the steps, tables, corrections and report.")
    ] = Path("tuned"),
    training: ZerothOrderSettings,
    how: TuneOptions,
    method: MethodOption = Method.auto,
    engine: Annotated[EngineSettings, Only("model", "tokenizer", "scoring", "device", "batch_tokens")],
) -> None:
    """Train a prompted classifier without gradients and correct it, with one report on both.

    Each step takes two forward passes and no more memory than inference. The loss is the cross-entropy
    over the labels; the optimizer is MeZO or Sparse MeZO, whose --sparsity is the share of the weights NOT
    changed. The correction is fitted on labelled rows that were not used for training. After Ctrl-C or a
    crash, rerun the same command to resume at the last step; pass more --steps to train further.

    Example: debias tune sst5 --optimizer sparse-mezo --steps 500 --limit 1000 --out tuned

    Your own: debias tune task.toml --data reviews.csv --model ./my-model --balanced
    """
    if out.exists() and not out.is_dir():
        raise ParameterError(parameter="out", received=str(out), allowed="a folder, not a file")
    from debias.inference.texts.tasks import load_task

    chosen = load_task(task)
    divided = divide(chosen, rows, how.correction_share, training.seed)
    make_folder(out)
    model = _open(engine, how, training.seed)
    with keeping(f"the steps so far were saved to {out}; rerun the same command to resume"):
        trained = _training(model, chosen, divided, training, how, out)
        before = _tables(model, chosen, divided, out, "untuned", every=True)
        _train(trained)
        after = _tables(model, chosen, divided, out, "tuned", every=False)
        if how.save_model:
            with writing_model(out):
                model.model.save_pretrained(out / "model")
                model.tokenizer.save_pretrained(out / "model")
        report = _judged(before, after, trained, how, method, out)
    report.write(out / "report.html")
    report.write(out / "report.md")
    print_table(
        f"{len(report.labels):,} held-out rows",
        ["0 to 100", *report.table.columns],
        [[name, *(f"{100 * one:.1f}" for one in row)] for name, row in report.table.iterrows()],
    )
    print_lines([report.headline, report.trail_note, f"Wrote {out / 'report.html'}."])


def divide(task: Any, rows: TuneRows, share: float, seed: int) -> Divided:
    """Load rows, and divide the labelled ones at random, the rows of a text together.

    Raises
    ------
    ParameterError
        There are too few labelled rows, or no labels; those that only correct are of one class.
    OverlapError
        Held-out rows have texts that labelled rows have.
    """
    from debias.inference.texts.prompted_rows import PromptedRows, load_prompted_rows

    given: dict[str, Any] = {
        "shots": rows.shots,
        "seed": seed,
        "labels": rows.labels,
        "shots_data": rows.data,
    }
    labelled = load_prompted_rows(task, "opt", limit=rows.limit, data=rows.data, **given)
    left = _shuffled_texts(labelled.texts, seed)
    if rows.test_data is not None or (rows.data is None and "test" in task.sources):
        test = load_prompted_rows(task, "test", limit=rows.test_limit, data=rows.test_data, **given)
        _check_apart(labelled.texts, test.texts)
    else:
        n_rows = len(labelled.texts)
        held, left = _taken(left, min(round(0.3 * n_rows), rows.test_limit or n_rows))
        names = None if labelled.labels is None else [labelled.labels[row] for row in held]
        test = PromptedRows(
            [labelled.texts[row] for row in held],
            names,
            [labelled.ids[row] for row in held],
            labelled.demonstrations,
        )
    correcting, left = _taken(left, round(share * sum(map(len, left))))
    training = sorted(chain.from_iterable(left))
    if labelled.labels is None or test.labels is None:
        raise ParameterError("rows have no labels", parameter="data", fix="pass files with labelled rows")
    if not (correcting and training and test.texts):
        raise ParameterError(
            f"{len(labelled.texts)} labelled rows are too few for training, correction and evaluation",
            parameter="limit",
            received=len(labelled.texts),
            fix=f"pass more rows, or {param('test_data')}",
        )
    correcting_labels = {labelled.labels[row] for row in correcting}
    if len(correcting_labels) < 2:
        raise ParameterError(
            f"the rows reserved for the correction ({len(correcting)}) are of one class, "
            f"{correcting_labels.pop()!r}",
            parameter="correction_share",
            received=share,
            fix=f"pass more rows, a larger {param('correction_share')}, or another {param('seed')}",
        )
    return Divided(labelled, training, correcting, test)


def _shuffled_texts(texts: "Sequence[str]", seed: int) -> list[list[int]]:
    """Return the rows of each different text, in random order: what one part has seen, no other part has."""
    import numpy as np

    from debias.tables.splitting import groups_of_texts

    text_of = groups_of_texts(np.array(texts, dtype=object), len(texts))
    rows = np.split(np.argsort(text_of, kind="stable"), np.cumsum(np.bincount(text_of))[:-1])
    return [rows[place].tolist() for place in np.random.default_rng(seed).permutation(len(rows))]


def _taken(texts: list[list[int]], n_rows: int) -> tuple[list[int], list[list[int]]]:
    """Return so many rows, no text divided, and the texts that are left."""
    taken: list[int] = []
    left = []
    for rows in texts:
        if len(rows) <= n_rows - len(taken):
            taken += rows
        else:
            left.append(rows)
    return sorted(taken), left


def _check_apart(labelled: "Sequence[str]", test: "Sequence[str]") -> None:
    """Refuse held-out texts that are trained or corrected on."""
    from debias.tables.splitting import plain_text

    known = {plain_text(text): row for row, text in enumerate(labelled, start=1)}
    shared = [(row, known[plain_text(text)]) for row, text in enumerate(test, 1) if plain_text(text) in known]
    if shared:
        raise OverlapError(
            f"{len(shared)} of {len(test)} held-out rows have the text of a labelled row; the first is"
            f" held-out row {shared[0][0]}, and labelled row {shared[0][1]}",
            parameter="test_data",
            received=[row for row, _ in shared],
            fix="pass rows that are used for neither training nor correction",
        )


def _open(settings: EngineSettings, how: TuneOptions, seed: int) -> "TransformersEngine":
    """Load the model in float32, in which small steps do not vanish, with an adapter where one is trained."""
    from debias.inference.models.new_adapter import with_seeded_adapter
    from debias.inference.transformers.transformers_engine import TransformersEngine

    say_at_once(f"loading {settings.model} in float32, so that small steps are not lost to rounding ...")
    given: dict[str, Any] = {"scoring": settings.scoring, "max_batch_tokens": settings.batch_tokens}
    engine = TransformersEngine(
        settings.model, settings.tokenizer, dtype="float32", device=settings.device, **given
    )
    if how.lora_rank is None:
        return engine
    return TransformersEngine(
        with_seeded_adapter(engine.model, how.lora_rank, seed), engine.tokenizer, **given
    )


def _tables(
    engine: "TransformersEngine", task: Any, divided: Divided, out: Path, name: str, every: bool
) -> "tuple[ProbabilityTable, ProbabilityTable]":
    """Ask about labelled rows, all or those that only correct, and about held-out rows."""
    from debias.inference.collection.collection import collect
    from debias.tables.overlap import check_disjoint

    labelled, test = divided.labelled, divided.test
    places = sorted([*divided.training, *divided.correcting]) if every else divided.correcting
    assert labelled.labels is not None
    parts = {
        "labelled": ([labelled.texts[i] for i in places], [labelled.labels[i] for i in places],
                     [labelled.ids[i] for i in places]),
        "test": (test.texts, test.labels, test.ids),
    }  # fmt: skip
    tables = []
    for split, (texts, labels, ids) in parts.items():
        table = collect(
            engine,
            task,
            texts,
            labels,
            demonstrations=labelled.demonstrations,
            ids=ids,
            too_long="truncate",
            metadata={"split": split},
        )
        table.write(out / f"{name}-{split}.parquet")
        tables.append(table)
    check_disjoint(tables[0], tables[1])
    return tables[0], tables[1]


def _training(
    engine: "TransformersEngine",
    task: Any,
    divided: Divided,
    settings: ZerothOrderSettings,
    how: TuneOptions,
    out: Path,
) -> "ClassTraining":
    """Return the training, its file checked: no step is taken yet."""
    from debias.inference.zeroth_order.class_loss import ClassLoss
    from debias.inference.zeroth_order.class_training import ClassTraining

    labelled = divided.labelled
    assert labelled.labels is not None
    prompts = [task.prompt(labelled.texts[row], labelled.demonstrations) for row in divided.training]
    columns = [task.class_names.index(labelled.labels[row]) for row in divided.training]
    loss = ClassLoss(engine, prompts, columns, task.continuations, how.balanced)
    return ClassTraining(engine, loss, settings, out / "steps.run", {"task": task.name})


def _train(training: "ClassTraining") -> None:
    """Take the steps that are left."""
    settings, begun = training.settings, training.begin()
    part = training.training.running.part
    say_at_once(
        f"{settings.optimizer} on {part.n_weights:,} weights, learning rate {training.rate:.3g}; "
        f"{settings.untouched:.0%} of the weights are left untouched"
        + (f"; resuming at step {begun:,}" if begun else "")
    )
    with counted_progress("steps", max(settings.steps - begun, 0)) as advance:
        training.run(lambda number, measured: advance(1))


def _judged(
    before: "tuple[ProbabilityTable, ProbabilityTable]",
    after: "tuple[ProbabilityTable, ProbabilityTable]",
    training: "ClassTraining",
    how: TuneOptions,
    method: Method,
    out: Path,
) -> "TunedReport":
    """Fit a correction on either model's rows, and compare all four ways."""
    from debias.cli.options.table_options import labels_of
    from debias.reports.tuned.tuned_report import TunedReport

    predictions = {}
    for (labelled, test), names, file in ((before, WAYS[:2], "untuned"), (after, WAYS[2:], "tuned")):
        debiaser = _fitted(labelled, method, training.settings.seed)
        debiaser.save(out / f"{file}-correction.json")
        columns = test.probabilities.to_numpy().argmax(axis=1)
        predictions[names[0]] = [str(test.classes[column]) for column in columns]
        predictions[names[1]] = [str(one) for one in debiaser.predict(test.probabilities)]
    test = after[1]
    settings = training.settings
    facts: dict[str, object] = {
        "optimizer": settings.optimizer,
        "share of the weights not touched": settings.untouched,
        "weights trained": training.training.running.part.n_weights,
        "adapter": "none: all weights" if how.lora_rank is None else f"LoRA of rank {how.lora_rank}",
        "class-balanced loss": how.balanced,
        "steps": training.n_steps,
        "batch size": settings.batch_size,
        "learning rate": training.rate,
        "epsilon": settings.epsilon,
        "seed": settings.seed,
        "rows trained": len(training.loss),
        "rows of the correction after training": len(after[0]),
        "rows of the correction alone": len(before[0]),
        "base model": training.training.log.header.base,
    }
    labels = [str(one) for one in labels_of(test)]
    classes = [str(one) for one in test.classes]
    return TunedReport(labels, predictions, classes, training.trail(), facts)


def _fitted(table: "ProbabilityTable", method: Method, seed: int) -> "BaseDebiaser":
    """Fit a correction."""
    from debias.cli.options.table_options import labels_of
    from debias.estimators.tuning.debiaser import Debiaser
    from debias.guarantees.watching.watcher import remember

    debiaser = Debiaser(method=method.value, random_state=seed).fit(table.probabilities, labels_of(table))
    remember(debiaser, table)
    return debiaser
