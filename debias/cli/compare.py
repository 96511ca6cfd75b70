"""``debias compare``: corrections beside baselines, fitted and tested on the same rows."""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.fit_options import N_WEIGHTS, SearchOptions, WeightOptions, WeightSteps, make_goal
from debias.cli.options.table_options import TABLE_HELP, Level, Resamples, Seed, TableOptions
from debias.console.command_group import Interrupted
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_text
from debias.console.screen import print_lines, print_table
from debias.console.several_values import several_values
from debias.errors import InterruptedWarning, ParameterError, param
from debias.inference.engine_settings import EngineSettings
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.inference.prompted_model import PromptedModel
    from debias.reports.comparison import Comparison
    from debias.tables.table import ProbabilityTable

SUFFIXES = (".csv", ".md", ".html")
_MODEL = "Asking the model"


@dataclass(frozen=True)
class RowChoice(Settings):
    """Which rows a comparison has, and which of them the others are compared with."""

    methods: str | None = setting(
        None,
        "Methods to compare, by key, such as batch,logistic,ensemble; by default all fast ones whose "
        "requirements are met.",
        metavar="NAME,...",
    )
    against: str | None = setting(
        None, "Reference method for the differences; the recommended one by default.", metavar="NAME"
    )
    all: bool = setting(False, "Include slow methods: the longer published annealing.")
    metric: str = setting(
        "balanced-accuracy",
        "What the row of coordinate-wise class weights maximises.",
        one_of=("balanced-accuracy", "accuracy", "macro-f1"),
    )
    task: str | None = setting(
        None,
        "Also run the methods that query the model of the tables: contextual and domain-context "
        "calibration, and a linear probe. Name or TOML file of the task, as for `debias collect`.",
        metavar="TASK",
        panel=_MODEL,
    )
    shots_data: Path | None = setting(
        None, "File that the solved examples in the prompts were drawn from.", panel=_MODEL
    )

    def names(self) -> list[str] | None:
        """Return the names of the rows, or None for the default ones."""
        return None if self.methods is None else [name.strip() for name in self.methods.split(",")]


@several_values("--test")
def compare(
    opt: Annotated[list[Path], typer.Argument(help=f"{TABLE_HELP} Rows to fit on; one table or more.")],
    *,
    test: Annotated[
        list[Path],
        typer.Option(help="Table of other labelled rows to evaluate on; one for each table to fit on."),
    ],
    out: Annotated[
        list[Path] | None, typer.Option(help="Also write the figures as .csv, .md or .html; may be repeated.")
    ] = None,
    rows: RowChoice,
    engine: EngineSettings,
    weights: WeightOptions,
    n_weights: WeightSteps = N_WEIGHTS,
    search: Annotated[SearchOptions, Only("n_starts", "n_jobs")],
    seed: Seed = 0,
    level: Level = 0.95,
    n_resamples: Resamples = 1000,
    reading: TableOptions,
) -> None:
    """Compare corrections with baselines on held-out rows, and say who wins.

    Every method learns from the same opt rows and is evaluated on the same test rows: calibrations without
    labels, scalings, logistic regression, boosted trees, class weights, the published search, the corrections
    of this project, and a text classifier if the tables have texts. Tables that share rows are rejected. If a
    method fails, its row says why. Ctrl-C keeps the results so far, and the file lists what is missing.

    Example: debias compare opt.parquet --test test.parquet --out comparison.html

    Several: debias compare trec-opt.parquet rte-opt.parquet --test trec-test.parquet rte-test.parquet
    """
    if len(opt) != len(test):
        raise ParameterError(
            parameter="test",
            allowed=f"as many tables as there are to fit on, {len(opt)}",
            received=[str(t) for t in test],
        )
    outputs = out or []
    for path in outputs:
        check_output(path, SUFFIXES, (*opt, *test))
    from rich.console import Console

    from debias.reports import comparison

    settings = comparison.MethodSettings(
        objective=make_goal(weights),
        n_weights=n_weights,
        n_starts=search.n_starts,
        n_jobs=search.n_jobs,
        seed=seed,
        metric=rows.metric,
    )
    pairs = [(reading.read(first), reading.read(second)) for first, second in zip(opt, test, strict=True)]
    with (
        _asked(rows, engine, [first for first, _ in pairs]) as model,
        Console(stderr=True).status("comparing") as status,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", InterruptedWarning)  # said below
        compared = comparison.compare_tables(
            pairs,
            rows.names(),
            names=table_names(opt, test),
            against=rows.against,
            slow=rows.all,
            settings=replace(settings, model=model),
            level=level,
            n_resamples=n_resamples,
            seed=seed,
            on_method=lambda name: status.update(f"fitting: {name}"),
        )
    missing = comparison.describe_missing(compared)
    lines = [missing] if missing else []
    for path in outputs:  # files first: who reads the output may go
        write_text(_page(compared, path.suffix.lower(), lines), path)
    for section in comparison.sections(compared, brief=True):
        print_table(section.title, section.header, section.rows)
        print_lines(section.lines)
    print_lines([*lines, *compared.verdict, *compared.notes])
    print_lines([f"Wrote {path}." for path in outputs])
    if missing:
        kept = f"is kept in {outputs[0]}" if outputs else "is kept above"
        raise Interrupted(f"what was measured so far {kept}; {missing.removesuffix('.')}")


@contextmanager
def _asked(
    rows: RowChoice, engine: EngineSettings, tables: "list[ProbabilityTable]"
) -> "Iterator[PromptedModel | None]":
    """Open the model of the tables, where rows may ask it."""
    if rows.task is None:
        if engine != EngineSettings() or rows.shots_data is not None:
            raise ParameterError(
                f"the model is only used with {param('task')}",
                parameter="task",
                received=None,
                fix="pass the task of the tables, or omit the options of the model",
            )
        yield None
        return
    from debias.inference.engine_settings import open_engine
    from debias.inference.prompted_model import PromptedModel

    if len(tables) > 1:
        raise ParameterError(
            parameter="task", allowed="omitted if there are several tables to fit on", received=rows.task
        )
    with open_engine(engine) as opened:
        yield PromptedModel.of_table(opened, rows.task, tables[0], rows.shots_data)


def table_names(opt: list[Path], test: list[Path]) -> list[str]:
    """Return a short name for each pair of tables: of its files, else of their folders, else its paths.

    Examples
    --------
    >>> opt, test = ([Path(f"{task}/{split}.csv") for task in ("trec", "rte")] for split in ("opt", "test"))
    >>> table_names(opt, test)
    ['trec', 'rte']
    """
    pairs = list(zip(opt, test, strict=True))
    ways = (
        [second.stem for _, second in pairs],
        [first.stem for first, _ in pairs],
        [second.parent.name for _, second in pairs],
        [f"{first}, {second}" for first, second in pairs],
    )
    different = (names for names in ways if max(Counter(names).values()) == 1 and all(names))
    return next(different, [f"table {number}" for number in range(1, len(pairs) + 1)])


def _page(compared: "Comparison", suffix: str, lines: list[str]) -> str:
    """Return the comparison as CSV, Markdown or HTML."""
    from debias.console.frame_files import csv_quoting
    from debias.reports.comparison import comparison_html, comparison_markdown

    if suffix == ".csv":
        frame = compared.to_frame()
        return str(frame.to_csv(quoting=csv_quoting(frame)))
    title = f"Corrections and baselines on {', '.join(table.name for table in compared.tables)}"
    render = comparison_markdown if suffix == ".md" else comparison_html
    return render(compared, title, lines)
