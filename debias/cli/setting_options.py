"""``debias fit --choose-settings``: which weights and scale, told by folds of the labelled rows."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.cli.bound_options import WEIGHTS, _is_given
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV

SHOWN = 5
"""Settings that are printed, the best first."""

ChooseSettings = Annotated[
    bool,
    typer.Option(
        "--choose-settings",
        help="Choose the objective's weights and the weight scale by cross-validation on these rows: "
        "304 published settings in one search.",
    ),
]
RuleName = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="NAME",
        help="How they are told apart: accuracy-minus-cobias (when left out), accuracy-cobias (published), "
        "balanced-accuracy, worst-class-accuracy, one-standard-error.",
    ),
]
Folds = Annotated[
    str | None,
    typer.Option(
        "--folds", metavar="N|holdout", help="Folds; 5 when left out. holdout: the published 95 / 5 split."
    ),
]

_FAMILIES = {"ensemble": "ensemble", "weight": "weights", "fuzzy": "memberships"}
_FIXED = (*WEIGHTS[:3], "max_cobias", "min_accuracy", "min_class_accuracy")


def make_chooser(
    context: typer.Context, method: str, rule: str | None, folds: str | None, **options: Any
) -> "EnsembleDebiaserCV":
    """Return the estimator that chooses its settings, not fitted.

    Parameters
    ----------
    context : typer.Context
        Of the command ``fit``.
    method : {"ensemble", "weight", "fuzzy"}
        What may be chosen from.
    rule, folds : str, optional
        As given.
    **options
        See :class:`debias.estimators.tuning.ensemble_cv.EnsembleDebiaserCV`.

    Returns
    -------
    EnsembleDebiaserCV
        With a progress bar where stderr is a terminal.

    Raises
    ------
    ParameterError
        A weight or bound is given beside, or the folds are not a number.
    """
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
    from debias.estimators.tuning.tuning_settings import PUBLISHED_N_WEIGHTS, published_objectives

    given = [f"--{name.replace('_', '-')}" for name in _FIXED if _is_given(context, name)]
    if given:
        raise ParameterError(
            f"--choose-settings chooses the weights itself, within no bounds; leave out {', '.join(given)}."
        )
    cv: int | str = 5 if folds is None else folds
    if isinstance(cv, str) and cv != "holdout":
        if not cv.isdigit():
            raise ParameterError(f"--folds must be a number or 'holdout'; got {cv!r}.")
        cv = int(cv)
    return EnsembleDebiaserCV(
        settings=published_objectives(context.params["smoothing"]),
        n_weights=context.params["n_weights"] if _is_given(context, "n_weights") else PUBLISHED_N_WEIGHTS,
        families=_FAMILIES[method],
        cv=cv,
        rule="accuracy-minus-cobias" if rule is None else rule,
        verbose=int(sys.stderr.isatty()),
        **options,
    )


def refuse_alone(rule: str | None, folds: str | None) -> None:
    """Refuse options that mean nothing without ``--choose-settings``.

    Raises
    ------
    ParameterError
        One of them is given.
    """
    for option, value in (("--rule", rule), ("--folds", folds)):
        if value is not None:
            raise ParameterError(f"{option} {value} is for --choose-settings; add it, or leave {option} out.")


def print_settings(debiaser: "EnsembleDebiaserCV") -> None:
    """Print the best settings and what they are worth on held-out rows.

    Parameters
    ----------
    debiaser : EnsembleDebiaserCV
        Fitted.
    """
    results = debiaser.cv_results_
    n_folds = results.attrs["n_folds"]
    best = results.sort_values("rank").head(SHOWN)
    rows = [
        [
            row["rank"],
            row["family"],
            "–" if row["family"] == "memberships" else row["n_weights"],
            *(f"{row[f'{name}_weight']:g}" for name in WEIGHTS[:3]),
            *(_with_deviation(row, name, n_folds) for name in ("accuracy", "cobias", "worst_class_accuracy")),
        ]
        for row in best.to_dict("records")
    ]
    print_table(
        f"The best of {len(results):,} settings by the rule {debiaser.rule}, 0 to 100 on held-out rows"
        f"{'' if n_folds == 1 else f', mean and deviation of {n_folds} folds'}",
        ["", "family", "steps", "error", "COBias", "PMI", "accuracy", "COBias", "worst class"],
        rows,
        n_names=2,
    )
    print_lines(
        [
            f"{debiaser.n_cv_evaluations_:,} choices counted, each good for all weights. Labels used: "
            f"{debiaser.n_labels_:,}, those of the held-out rows among them."
        ]
    )


def _with_deviation(row: Mapping[Any, Any], name: str, n_folds: int) -> str:
    """Return a mean of the folds in per cent, with its deviation where there is one."""
    mean = f"{100 * row[f'mean_{name}']:.1f}"
    return mean if n_folds == 1 else f"{mean} ± {100 * row[f'std_{name}']:.1f}"
