"""Templates of HTML pages: a report's own, and the style that all of them share."""

from typing import Any


def page_environment(package: str) -> Any:
    """Return an environment for the templates in a package's ``reports`` folder.

    All that is put into a page is escaped, and a name without a value is an error.

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
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
