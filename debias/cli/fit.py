"""``debias fit``: one correction per class from a table of labelled rows."""

import sys
import warnings
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.cli.bound_options import MaxCobias, MinAccuracy, MinClassAccuracy, make_objective
from debias.cli.setting_options import (
    ChooseSettings,
    Folds,
    RuleName,
    make_chooser,
    print_settings,
    refuse_alone,
)
from debias.cli.table_options import TABLE_HELP, Classes, Format, Jobs, Normalise, Seed, read_table
from debias.console.command_group import Interrupted, say
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param

if TYPE_CHECKING:
    from debias.estimators.debiaser import Debiaser
    from debias.search.constraints import Goal
    from debias.tables.table import ProbabilityTable


class Method(StrEnum):
    """What a correction may be."""

    ensemble = "ensemble"
    weight = "weight"
    fuzzy = "fuzzy"


class Search(StrEnum):
    """How corrections are searched for."""

    auto = "auto"
    exact = "exact"
    enumerate = "enumerate"
    descent = "descent"
    annealing_3_6 = "annealing-3/6"
    annealing_150_300 = "annealing-150/300"


ErrorWeight = Annotated[float, typer.Option("--error", help="Weight of the error rate in the objective.")]
CobiasWeight = Annotated[
    float, typer.Option("--cobias", help="Weight of COBias, the mean gap between two class accuracies.")
]
PmiWeight = Annotated[
    float, typer.Option("--pmi", help="Weight of the mutual information of prediction and label.")
]
Smoothing = Annotated[float, typer.Option("--smoothing", help="Smoothing of counts in that information.")]
WeightSteps = Annotated[int, typer.Option("--n-weights", help="Steps of the weight scale.")]
Starts = Annotated[int, typer.Option("--n-starts", help="Starts of the descent.")]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="Seconds for the proof; by default auto counts work instead, and the others have no limit.",
    ),
]


def fit(
    context: typer.Context,
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} With labels.")],
    out: Annotated[Path, typer.Option(help="Where to write the correction, readable JSON.")] = Path(
        "correction.json"
    ),
    method: Annotated[
        Method, typer.Option(help="Weights (DNIP), fuzzy memberships (FuRud), or either per class (DCS).")
    ] = Method.ensemble,
    error: ErrorWeight = 1.0,
    cobias: CobiasWeight = 1.0,
    pmi: PmiWeight = 0.2,
    smoothing: Smoothing = 4000.0,
    max_cobias: MaxCobias = None,
    min_accuracy: MinAccuracy = None,
    min_class_accuracy: MinClassAccuracy = None,
    n_weights: WeightSteps = 30,
    search: Annotated[
        Search,
        typer.Option(
            metavar="NAME",
            help="auto: a descent, then the best proof that a fixed amount of work allows; exact: until the optimum "
            "is proved; enumerate: every choice; descent: no proof; or a published schedule as a baseline: "
            "annealing-3/6, annealing-150/300.",
        ),
    ] = Search.auto,
    time_limit: TimeLimit = None,
    polish: Annotated[
        bool, typer.Option("--polish", help="Afterwards a continuous factor per class (log-bias) on top.")
    ] = False,
    n_starts: Starts = 32,
    choose_settings: ChooseSettings = False,
    rule: RuleName = None,
    folds: Folds = None,
    seed: Seed = 0,
    jobs: Jobs = -1,
    classes: Classes = None,
    format: Format = None,
    normalise: Normalise = False,
) -> None:
    """Fit one correction per class on labelled rows.

    Never fit on the rows you test on. Ctrl-C keeps the best choice met so far, and the file says how
    good it is proved to be.

    Example: debias fit opt.parquet --method ensemble --out correction.json

    Weights chosen by cross-validation: debias fit opt.parquet --choose-settings

    Published text format: debias fit opt.txt --classes World,Sports,Business,Technology
    """
    check_output(out, (".json",), (table,))
    rows = read_table(table, classes, format, normalise)
    how: dict[str, Any] = {"search": str(search), "time_limit": time_limit, "n_starts": n_starts}
    if choose_settings and polish:
        raise ParameterError(f"{param('choose_settings')} and {param('polish')} exclude each other")
    chooser = None
    if choose_settings:
        chooser = make_chooser(context, method, rule, folds, **how, random_state=seed, n_jobs=jobs)
    else:
        refuse_alone(rule, folds)
    debiaser: Debiaser = chooser or make_debiaser(
        method,
        make_objective(context, max_cobias, min_accuracy, min_class_accuracy),
        n_weights=n_weights,
        **how,
        seed=seed,
        jobs=jobs,
        more={"polish": polish},
    )
    _ = rows.label_indices  # an unlabelled table is refused with what to do about it
    interrupted = fit_aloud(debiaser, rows)
    debiaser.save(out)
    if chooser is not None:
        print_settings(chooser)
    print_explanation(debiaser, f"{table.name}: {len(rows):,} labelled rows, the rows it was fitted on")
    print_lines(["", debiaser.summary(), *describe_proof(debiaser)])
    print_lines([f"Wrote {out}. Judge it on other rows: debias report."])
    if interrupted:
        raise Interrupted(f"the best choice met so far is kept in {out}")


def fit_aloud(debiaser: "Debiaser", rows: "ProbabilityTable") -> bool:
    """Fit, with each warning in a line on stderr.

    Parameters
    ----------
    debiaser : Debiaser
        Not fitted.
    rows : ProbabilityTable
        Labelled rows.

    Returns
    -------
    bool
        Whether Ctrl-C ended the search; what it had met is kept.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        debiaser.fit(rows.probabilities, rows.labels)
    messages = [str(warning.message) for warning in caught]
    for message in messages:
        say(f"warning: {message}")
    return any("interrupted" in message for message in messages)


def describe_proof(debiaser: "Debiaser") -> list[str]:
    """Say in a sentence what is proved of a choice.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.

    Returns
    -------
    list of str
        Empty for a published schedule, which proves nothing.
    """
    from debias.estimators.summary import came_later

    certificate = debiaser.certificate_
    if certificate is None:
        return []
    return [f"Proved{came_later(debiaser.fitted_)}: {certificate.proved}."]


def make_debiaser(
    method: str,
    objective: "Goal",
    *,
    n_weights: int,
    search: str,
    time_limit: float | None,
    n_starts: int,
    seed: int,
    jobs: int,
    more: Mapping[str, Any] | None = None,
) -> "Debiaser":
    """Return the estimator that the options ask for, not fitted.

    Parameters
    ----------
    method : {"ensemble", "weight", "fuzzy"}
        Which of the three.
    objective : Objective or Constrained
        What is minimised.
    n_weights, search, time_limit, n_starts, seed, jobs
        See :class:`debias.estimators.debiasers.EnsembleDebiaser`.
    more : mapping, optional
        Further parameters of it.

    Returns
    -------
    Debiaser
        With a progress bar where stderr is a terminal.
    """
    from debias.estimators.debiasers import EnsembleDebiaser, FuzzyDebiaser, WeightDebiaser

    settings: dict[str, Any] = {
        "objective": objective,
        "search": search,
        "time_limit": time_limit,
        "n_starts": n_starts,
        "n_jobs": jobs,
        "random_state": seed,
        "verbose": int(sys.stderr.isatty()),
        **(more or {}),
    }
    if method == "fuzzy":
        return FuzzyDebiaser(**settings)
    kind = WeightDebiaser if method == "weight" else EnsembleDebiaser
    return kind(n_weights=n_weights, **settings)


def print_explanation(debiaser: "Debiaser", title: str) -> None:
    """Print what was done to each class, and a sentence on each.

    Parameters
    ----------
    debiaser : Debiaser
        Fitted.
    title : str
        Which rows the numbers are of.
    """
    from debias.console.number_formats import percent

    explained = debiaser.explain()
    rows = [
        [
            name,
            row["correction"],
            f"{row['support']:,}",
            percent(row["accuracy_before"], unit=False),
            percent(row["accuracy_after"], unit=False),
            f"{row['predicted_before']:,}",
            f"{row['predicted_after']:,}",
        ]
        for name, row in explained.iterrows()
    ]
    header = ["class", "correction", "rows", "right before, %", "after, %", "predicted before", "after"]
    print_table(title, header, rows, n_names=2)
    print_lines(explained["sentence"], bullet="- ")
