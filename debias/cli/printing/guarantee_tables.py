"""Guarantees as tables and sentences on the screen."""

from typing import TYPE_CHECKING

from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from debias.estimators.fitted_correction import FittedCorrection
    from debias.guarantees.guarantee import Guarantee


def print_guarantee(guarantee: "Guarantee", name: str) -> None:
    """Print what is guaranteed of each class, then sentence by sentence.

    Parameters
    ----------
    guarantee : Guarantee
    name : str
        Of the held-out rows.
    """
    from debias.guarantees.guarantee import HEADER, guarantee_cells

    title = f"{name}: class accuracies guaranteed on rows to come, all with {100 * guarantee.confidence:g} %"
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
        print_lines([f"How far the best choice may be is not guaranteed: {error.problem}."])
