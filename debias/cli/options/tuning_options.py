"""The options of ``debias fit --choose-settings``: weights and scale chosen by cross-validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debias.cli.options.fit_options import BoundOptions, FamilyMethod, WeightOptions, search_parameters
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param
from debias.search.search_settings import SearchSettings
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV

SHOWN = 5
"""Settings that are printed, the best first."""

_FAMILIES = {"ensemble": "ensemble", "weight": "weights", "fuzzy": "memberships", "wide": "wide"}
_WEIGHTS = ("error", "cobias", "pmi")


@dataclass(frozen=True)
class TuningOptions(Settings):
    """How weights and scale are chosen, if they are to be."""

    choose_settings: bool = setting(
        False,
        "Choose the objective's weights and the weight scale by cross-validation on these rows: "
        "304 published settings in one search.",
    )
    rule: str | None = setting(
        None,
        "How the settings are ranked: accuracy-minus-cobias (the default), accuracy-cobias (published), "
        "balanced-accuracy, worst-class-accuracy, one-standard-error.",
        metavar="NAME",
    )
    cv: str | None = setting(
        None,
        "Number of folds, 5 by default; holdout: the published 95 / 5 split.",
        metavar="N|holdout",
        option="--folds",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rule", "cv"):
            if not self.choose_settings and getattr(self, name) is not None:
                raise ParameterError(
                    f"{param(name)} needs {param('choose_settings', True)}",
                    parameter=name,
                    received=getattr(self, name),
                    fix=f"add {param('choose_settings', True)}, or omit {param(name)}",
                )
        if self.cv is not None and self.cv != "holdout" and not self.cv.isdecimal():
            raise ParameterError(parameter="cv", received=self.cv, allowed="an integer or 'holdout'")


def make_chooser(
    method: FamilyMethod,
    weights: WeightOptions,
    bounds: BoundOptions,
    tuning: TuningOptions,
    search: SearchSettings,
    n_weights: int | None,
    seed: int,
) -> "EnsembleDebiaserCV":
    """Return the estimator that chooses its settings, not fitted.

    Parameters
    ----------
    method : FamilyMethod
        What may be chosen from.
    weights : WeightOptions
        Only `smoothing` may be given.
    bounds : BoundOptions
        None may be given.
    tuning, search, n_weights, seed
        See :class:`debias.estimators.tuning.ensemble_cv.EnsembleDebiaserCV`.

    Returns
    -------
    EnsembleDebiaserCV
        With a progress bar where stderr is a terminal.

    Raises
    ------
    ParameterError
        A weight or a bound is given.
    """
    from debias.estimators.tuning.ensemble_cv import EnsembleDebiaserCV
    from debias.estimators.tuning.tuning_settings import PUBLISHED_N_WEIGHTS, published_objectives

    smoothing = {} if weights.smoothing is None else {"smoothing": weights.smoothing}
    fixed = [name for name in (*weights.given(), *bounds.given()) if name not in smoothing]
    if fixed:
        raise ParameterError(
            f"{param('choose_settings', True)} chooses the weights itself and accepts no bounds",
            parameter="choose_settings",
            received=True,
            fix=f"omit {', '.join(map(param, fixed))}",
        )
    debiaser = EnsembleDebiaserCV(
        settings=published_objectives(**smoothing),
        n_weights=PUBLISHED_N_WEIGHTS if n_weights is None else n_weights,
        families=_FAMILIES[method],
        cv=int(tuning.cv) if tuning.cv and tuning.cv.isdecimal() else tuning.cv or 5,
        rule=tuning.rule or "accuracy-minus-cobias",
        random_state=seed,
    )
    debiaser.set_params(**search_parameters(search))
    return debiaser


def print_settings(debiaser: "EnsembleDebiaserCV") -> None:
    """Print the best settings and what they are worth on held-out rows.

    Parameters
    ----------
    debiaser : EnsembleDebiaserCV
        Fitted.
    """
    results = debiaser.cv_results_
    n_folds = results.attrs["n_folds"]
    rows = [
        [
            row["rank"],
            row["family"],
            "–" if row["family"] == "memberships" else row["n_weights"],
            *(f"{row[f'{name}_weight']:g}" for name in _WEIGHTS),
            *(_with_deviation(row, name, n_folds) for name in ("accuracy", "cobias", "worst_class_accuracy")),
        ]
        for row in results.sort_values("rank").head(SHOWN).to_dict("records")
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
            f"{debiaser.n_cv_evaluations_:,} choices were evaluated, each for all weights. Labels used: "
            f"{debiaser.n_labels_:,}, those of the held-out rows included."
        ]
    )


def _with_deviation(row: Mapping[object, float], name: str, n_folds: int) -> str:
    """Return a mean of the folds in per cent, with its deviation where there is one."""
    mean = f"{100 * row[f'mean_{name}']:.1f}"
    return mean if n_folds == 1 else f"{mean} ± {100 * row[f'std_{name}']:.1f}"
