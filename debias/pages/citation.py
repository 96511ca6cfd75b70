"""The citation of the project: the data of CITATION.cff, which a wheel does not hold."""

from importlib.metadata import PackageNotFoundError, version

TITLE = "debias-iterit"
AUTHORS = "The debias-iterit authors"
LICENSE = "Apache-2.0"
ADDRESS = "https://github.com/debias-iterit/debias-iterit"
MESSAGE = " ".join(
    (
        "If you use this software, please cite it as below,",
        "together with the papers of the methods it implements.",
    )
)
"""A test compares all of these with CITATION.cff."""


def citation() -> str:
    """Return a BibTeX entry of the installed version.

    Examples
    --------
    >>> print(citation())
    @software{debias_iterit,
      title = {debias-iterit},
      author = {{The debias-iterit authors}},
      version = {...},
      license = {Apache-2.0},
      url = {https://github.com/debias-iterit/debias-iterit}
    }
    """
    try:
        number = version("debias-iterit")
    except PackageNotFoundError:
        number = "unknown"
    fields = {
        "title": TITLE,
        "author": f"{{{AUTHORS}}}",
        "version": number,
        "license": LICENSE,
        "url": ADDRESS,
    }
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@software{{debias_iterit,\n{lines}\n}}"
