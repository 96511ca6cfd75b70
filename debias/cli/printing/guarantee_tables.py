"""Guarantees as tables and sentences on the screen."""

import math
from typing import TYPE_CHECKING

from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from debias.estimators.fitted.fitted_correction import FittedCorrection
    from debias.guarantees.guarantee import Guarantee


def print_guarantee(guarantee: "Guarantee", name: str) -> None:
    """Print what is guaranteed of each class, then sentence by sentence.

    Parameters
    ----------
    guarantee : Guarantee
    name : str
        Of the held-out rows.
    """
    from debias.console.number_formats import exact_percent
    from debias.guarantees.guarantee import HEADER, guarantee_cells

    title = (
        f"{name}: class accuracies guaranteed on new rows, all with {exact_percent(guarantee.confidence)} %"
    )
    print_table(f"{title} confidence", HEADER, guarantee_cells(guarantee))
    print_lines(guarantee.sentences())


def print_seen(fitted: "FittedCorrection", confidence: float) -> None:
    """Print what the fitted rows alone guarantee, and how far the best choice may be.

    Parameters
    ----------
    fitted : FittedCorrection
        From its file.
    confidence : float
        Of each statement.
    """
    from debias.errors import ParameterError
    from debias.guarantees.seen_rows import certify_seen, regret

    print_lines(certify_seen(fitted, confidence).sentences())
    try:
        print_lines([regret(fitted, confidence).sentence()])
    except ParameterError as error:
        print_lines([f"The distance from the best choice is not guaranteed: {error.problem}."])
    print_lines(_describe_label_noise(fitted))


def _describe_label_noise(fitted: "FittedCorrection") -> list[str]:
    """Say what is proved of the fitted rows if some of their labels are wrong."""
    from debias.console.number_formats import counted
    from debias.search.objective import Objective
    from debias.search.proof.label_noise import most_change

    support, certificate = fitted.counts().support, fitted.certificate
    n_wrong = max(1, int(support.sum()) // 100)
    if certificate is None or type(fitted.objective) is not Objective:
        return []
    distance = fitted.objective_value - certificate.lower_bound
    distance += 2 * most_change(fitted.objective, support, n_wrong)
    if not math.isfinite(distance):
        return []
    labels = f"{counted(n_wrong, 'label')} of the {counted(int(support.sum()), 'fitted row')}"
    return [
        f"Proved for the fitted rows: whichever {labels} may be wrong, the objective of this choice is at "
        f"most {math.ceil(1000 * distance) / 1000:.3f} above the best choice of the same corrections with "
        "the true labels."
    ]
