"""Templates of HTML pages: a report's own, and the style that all of them share."""

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from debias.errors import visible

if TYPE_CHECKING:
    import jinja2


@cache
def page_environment(package: str) -> "jinja2.Environment":
    """Return an environment for the templates in a package's ``reports`` folder.

    Values are escaped when they are put into a page, control characters too; a name without a value is
    an error. There is one for each package, so that a template is compiled once.

    Parameters
    ----------
    package : str
        Such as "debias".

    Returns
    -------
    jinja2.Environment

    Examples
    --------
    >>> page_environment("debias").get_template("style.css.jinja").render()[:5]
    ':root'
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "reports"), jinja2.PackageLoader("debias", "pages")]
        ),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """Return what is put into a page, without what could reorder its text."""
    if isinstance(value, Markup):
        return Markup(visible(value))
    return visible(value) if isinstance(value, str) else value
