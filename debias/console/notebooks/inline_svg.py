"""A matplotlib figure as an SVG element of a page: it takes the colours of the page, light or dark."""

import io
import re
import warnings
from typing import TYPE_CHECKING

from markupsafe import Markup

from debias.console.notebooks.drawing import AFTER, BEFORE, GRID, INK, QUIET
from debias.errors import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VARIABLES = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    GRID: "var(--line)",
    BEFORE: "var(--before)",
    AFTER: "var(--after)",
}


def inline_svg(figure: "Figure", name: str, description: str) -> Markup:
    """Return a figure as an SVG element that can stand in a page beside others.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    name : str
        Letters and digits that no other figure of the page has, for its ids.
    description : str
        Alternative text.

    Returns
    -------
    Markup
        The element, with the colours of the page and text as text.

    Examples
    --------
    >>> from debias.console.notebooks.drawing import blank
    >>> svg = inline_svg(blank(2, 2)[0], "empty", "Nothing & more.")
    >>> svg.startswith('<svg role="img" aria-label="Nothing &amp; more."')
    True
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the browser has other fonts
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    label = Markup('<svg role="img" aria-label="{}"').format(visible(description))
    return Markup(svg.replace("<svg", str(label), 1))
