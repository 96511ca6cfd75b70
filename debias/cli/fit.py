"""``debias fit``: one correction per class from a table of labelled rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.fit_options import (
    BoundOptions,
    FamilyMethod,
    FitSearchOptions,
    Method,
    MethodOption,
    WeightOptions,
    make_debiaser,
    make_goal,
)
from debias.cli.options.table_options import TABLE_HELP, Seed, TableOptions, labels_of
from debias.cli.options.tuning_options import TuningOptions, make_chooser, print_settings
from debias.console.command_group import OUT_OF_BOUNDS, Interrupted, keeping
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param

if TYPE_CHECKING:
    from debias.estimators.base_debiaser import BaseDebiaser


def fit(
    table: Annotated[Path, typer.Argument(help=f"{TABLE_HELP} Must have labels.")],
    *,
    out: Annotated[Path, typer.Option(help="Where to write the correction, as readable JSON.")] = Path(
        "correction.json"
    ),
    method: MethodOption = Method.auto,
    weights: WeightOptions,
    bounds: BoundOptions,
    weights_only: Annotated[
        bool,
        typer.Option(
            "--weights-only",
            help="Only use class weights, which any server accepts as a logit bias, and report what that "
            "costs.",
        ),
    ] = False,
    n_weights: Annotated[
        int | None, typer.Option(help="Number of steps in the weight scale; 30 by default.")
    ] = None,
    search: FitSearchOptions,
    polish: Annotated[
        bool,
        typer.Option(
            "--polish", help="After the search, multiply by a continuous factor per class (log-bias)."
        ),
    ] = False,
    tuning: TuningOptions,
    seed: Seed = 0,
    reading: TableOptions,
) -> None:
    """Fit a correction on labelled rows: by default the simplest one that is as good as the best.

    Never fit on the rows you test on. Ctrl-C keeps the best choice found so far, and the file says how
    good it is proved to be. If no choice found satisfies all bounds, the closest one is written and the
    exit code is 3.

    Example: debias fit opt.parquet --out correction.json

    A function per class, as published: debias fit opt.parquet --method ensemble

    Weights chosen by cross-validation: debias fit opt.parquet --choose-settings

    Published text format: debias fit opt.txt --classes World,Sports,Business,Technology
    """
    check_output(out, (".json",), (table,))
    if tuning.choose_settings and polish:
        raise ParameterError(
            f"{param('choose_settings', True)} cannot be combined with {param('polish', True)}",
            parameter="polish",
            received=True,
            fix="omit one of them",
        )
    if weights_only:
        method = _weights(method, tuning)
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
    from debias.guarantees.watching.watcher import remember

    rows = reading.read(table)
    labels = labels_of(rows)
    debiaser: BaseDebiaser
    if tuning.choose_settings:
        asked = FamilyMethod.ensemble if method is Method.auto else _with_settings(method)
        debiaser = make_chooser(asked, weights, bounds, tuning, search, n_weights, seed)
    else:
        debiaser = make_debiaser(method, make_goal(weights, bounds), search, n_weights, seed, polish)
    remember(debiaser.fit(rows.probabilities, labels), rows)
    write_or_rescue(out, debiaser.save)
    kept = f"the best choice found so far was saved to {out}"
    with keeping(kept):
        if isinstance(debiaser, EnsembleDebiaserCV):
            print_settings(debiaser)
        print_selection(debiaser)
        print_explanation(debiaser, f"{table.name}: {len(rows):,} labelled rows, the rows it was fitted on")
        print_lines(["", debiaser.summary(), describe_proof(debiaser)])
        print_near_ties(debiaser)
        if weights_only and not debiaser.interrupted_:
            from debias.estimators.tuning.weights_only import against_ensemble

            print_lines([against_ensemble(debiaser, rows.probabilities, labels).describe()])
        print_lines([f"Wrote {out}. Evaluate it on other rows with debias report."])
    if debiaser.interrupted_:
        raise Interrupted(kept)
    if not debiaser.feasible_:
        raise typer.Exit(OUT_OF_BOUNDS)


def _with_settings(method: Method) -> FamilyMethod:
    """Return a method that has settings to choose, or refuse it."""
    if method.value not in list(FamilyMethod):
        raise ParameterError(
            parameter="method",
            allowed=f"one of {', '.join(FamilyMethod)} with {param('choose_settings', True)}",
            received=method.value,
        )
    return FamilyMethod(method.value)


def _weights(method: Method, tuning: TuningOptions) -> Method:
    """Return a method that only weighs classes, or refuse one that does not."""
    from debias.estimators.tuning.weights_only import LOGIT_BIASES

    if tuning.choose_settings:
        raise ParameterError(
            f"{param('choose_settings', True)} cannot be combined with {param('weights_only', True)}",
            parameter="weights_only",
            received=True,
            fix=f"use {param('method', 'weight')} instead of {param('weights_only', True)}",
        )
    if method is not Method.auto and method.value not in LOGIT_BIASES:
        raise ParameterError(
            parameter="method",
            allowed=f"one of {', '.join(LOGIT_BIASES)} with {param('weights_only', True)}",
            received=method.value,
        )
    return Method.weight if method is Method.auto else method


def print_selection(debiaser: "BaseDebiaser") -> None:
    """Print what every method was worth on held-out rows, where the method was chosen.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    """
    from debias.console.number_formats import fixed, percent

    selection = debiaser.fitted_.selection
    if selection is None:
        return
    rows = [
        [
            one.method,
            fixed(one.objective, 3),
            "best" if one.method == selection.best else f"± {one.standard_error:.3f}",
            *(
                percent(value, unit=False)
                for value in (one.accuracy, one.balanced_accuracy, one.cobias, one.worst_class_accuracy)
            ),
            "chosen" if one.method == selection.chosen else "",
        ]
        for one in selection.judged
    ]
    print_table(
        f"Methods from simplest to most complex, on held-out rows of {selection.n_folds} folds",
        ["method", "objective", "to the best", "accuracy, %", "balanced", "COBias", "worst class", ""],
        rows,
    )


def describe_proof(debiaser: "BaseDebiaser") -> str:
    """Say in a sentence what is proved of a choice, or why nothing is."""
    from debias.estimators.fitted.correction_card import what_is_proved
    from debias.estimators.fitted.summary import came_later

    certificate = debiaser.certificate_
    proved = what_is_proved(debiaser.fitted_) if certificate is None else certificate.proved
    return f"Proved{came_later(debiaser.fitted_)}: {proved}."


def print_near_ties(debiaser: "BaseDebiaser") -> None:
    """Print the choices that are nearly as good, if any of them differs by a point."""
    from debias.console.number_formats import fixed, percent
    from debias.search.proof.near_ties import MEASURES

    near = debiaser.fitted_.near_ties
    if near is None or not near.differ:
        return
    header = ["", "objective", "balanced, %", "accuracy, %", "COBias", "worst class, %", "changed"]
    rows = []
    for at, row in enumerate(near.rows):
        figures = [percent(getattr(row, name), unit=False) for name in MEASURES]
        mark = "" if at else "taken"
        rows.append([mark, fixed(row.objective, 4), *figures, str(row.n_changed)])
    print_table(f"Near-ties: objectives within {near.within:g} of the best", header, rows, n_names=1)
    print_lines([near.describe()])


def print_explanation(debiaser: "BaseDebiaser", title: str) -> None:
    """Print what was done to each class, and a sentence on each.

    Parameters
    ----------
    debiaser : BaseDebiaser
        Fitted.
    title : str
        Which rows the numbers are of.
    """
    from debias.console.number_formats import percent
    from debias.estimators.bases.base_words import describe_base

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
    header = ["class", "correction", "rows", "correct before, %", "after, %", "predicted before", "after"]
    print_table(title, header, rows, n_names=2)
    base = describe_base(debiaser.fitted_.base, debiaser.get_feature_names_out().tolist())
    print_lines([*base, *explained["sentence"]], bullet="- ")
