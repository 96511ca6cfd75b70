"""``debias show``: the card of a saved correction: where it comes from, what it does, what is known of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from debias.estimators.fitted.correction_card import CorrectionCard

EDITED = (
    "This file was edited after the fit. Its figures, its proofs and any guarantee from before the edit are "
    "those of the correction that was fitted, and may not hold for the edited one."
)


def show(
    correction: Annotated[Path, typer.Argument(help="Correction that `debias fit` wrote.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show the card of a correction: model, prompt, rows, the correction of each class, and what holds.

    Only the file is read. What is proved holds for the fitted rows; what is guaranteed holds for new rows,
    and is available once `debias certify` has written it.

    Example: debias show correction.json
    """
    from debias.estimators.fitted.correction_card import card_of
    from debias.estimators.tuning.methods import load

    fitted = load(correction).fitted_
    card = card_of(fitted)
    if as_json:
        typer.echo(json.dumps({**card.data, "edited": fitted.edited}, indent=2, allow_nan=False))
        return
    if fitted.edited:
        print_lines([EDITED, ""])
    print_card(card, correction.name)


def print_card(card: "CorrectionCard", name: str) -> None:
    """Print a card.

    Parameters
    ----------
    card : CorrectionCard
    name : str
        Of the file.
    """
    from debias.estimators.fitted.correction_card import HEADER

    print_lines([card.summary, ""])
    print_lines([f"{fact}: {value}" for fact, value in card.facts])
    print_table(f"{name}: what each class gets", HEADER, card.classes, n_names=2)
    print_lines([f"Proved for the fitted rows: {card.proved}.", ""])
    guaranteed = card.guaranteed.removesuffix(".")
    print_lines([f"On new rows: {guaranteed}.", *(["", card.near_ties] if card.near_ties else []), ""])
    print_lines(["Fit it again:"])
    print_lines(card.refit, bullet="- ")
