"""The judgement on new rows, on the screen."""

from typing import TYPE_CHECKING

from debias.console.screen import print_lines, print_table

if TYPE_CHECKING:
    from debias.guarantees.watching.watched import Watched


def print_watched(watched: "Watched", name: str) -> None:
    """Print every check, then the verdict and why.

    Parameters
    ----------
    watched : Watched
    name : str
        Of the new rows.
    """
    from debias.guarantees.watching.watched import HEADER

    print_table(f"{name}: {watched.n_rows:,} new rows", HEADER, watched.cells(), n_names=2)
    print_lines(watched.sentences())
