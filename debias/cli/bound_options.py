"""Options that bound COBias and accuracies, and the objective that all options together ask for."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from debias.search.constraints import Goal

WEIGHTS = ("error", "cobias", "pmi", "smoothing")

MaxCobias = Annotated[
    float | None,
    typer.Option(
        "--max-cobias",
        metavar="SHARE",
        help="Bound: COBias at most this, 0.1 for 10 points. Without weights, the error is minimised.",
    ),
]
MinAccuracy = Annotated[
    str | None,
    typer.Option(
        "--min-accuracy",
        metavar="SHARE",
        help='Bound: accuracy at least this, or "uncorrected". Alone, without weights, COBias is minimised.',
    ),
]
MinClassAccuracy = Annotated[
    float | None,
    typer.Option(
        "--min-class-accuracy", metavar="SHARE", help="Bound: accuracy of every class at least this."
    ),
]


def make_objective(
    context: typer.Context,
    max_cobias: float | None,
    min_accuracy: str | None,
    min_class_accuracy: float | None,
) -> "Goal":
    """Return what a command's options ask to minimise.

    Parameters
    ----------
    context : typer.Context
        Of a command with the options ``--error``, ``--cobias``, ``--pmi`` and ``--smoothing``.
    max_cobias, min_accuracy, min_class_accuracy
        As given, see :class:`debias.search.constraints.Constrained`.

    Returns
    -------
    Objective or Constrained
        With bounds, weights count only if one is given.

    Raises
    ------
    ParameterError
        A bound or weight is not allowed.
    """
    from debias.search.constraints import Constrained
    from debias.search.objective import Objective

    objective = Objective(**{name: context.params[name] for name in WEIGHTS})
    if max_cobias is None and min_accuracy is None and min_class_accuracy is None:
        return objective
    return Constrained(
        max_cobias,
        _number_or_word(min_accuracy),
        min_class_accuracy,
        objective if any(_is_given(context, name) for name in WEIGHTS) else None,
    ).validate()


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was typed."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _number_or_word(text: str | None) -> float | str | None:
    """Read a number where it is one; a word is judged by whom it is given to."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
