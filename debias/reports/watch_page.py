"""The judgement on new rows as JSON for monitors, and as one HTML page for people."""

import json

from debias.console.number_formats import at_least, at_most, percent, span
from debias.errors import visible_json
from debias.guarantees.watching.watched import HEADER, ClassWatch, Watched
from debias.pages.environment import page_environment

_CLASSES = ("class", "share before", "share now", "guaranteed", "labelled rows", "correct, %", "between")


def watch_json(watched: Watched) -> str:
    """Return a judgement as JSON.

    Parameters
    ----------
    watched : Watched

    Returns
    -------
    str
        ``verdict``, ``exit_code``, ``checks``, ``classes``, ``changed`` and ``sentences``.

    Examples
    --------
    >>> json.loads(watch_json(Watched(90, 0, 100, 0.95, 0.02, (), ())))["verdict"]
    'holds'
    """
    return visible_json(json.dumps(watched.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def watch_html(watched: Watched, name: str) -> str:
    """Return a judgement as one page that loads nothing.

    Parameters
    ----------
    watched : Watched
    name : str
        Of the new rows.

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> page = watch_html(Watched(90, 0, 100, 0.95, 0.02, (), ()), "<new>.parquet")
    >>> page.startswith("<!doctype html>"), "<new>" in page
    (True, False)
    """
    template = page_environment("debias").get_template("watch.html.jinja")
    return template.render(
        watched=watched,
        name=name,
        kind={"holds": "better", "mix shifted": "warning", "expired": "worse"}[watched.verdict],
        header=HEADER,
        rows=watched.cells(),
        class_header=_CLASSES,
        class_rows=[_class_cells(one) for one in watched.classes],
    )


def _class_cells(one: ClassWatch) -> list[str]:
    """Return what is known of a class, a dash where nothing is."""
    share = percent(one.share, unit=False)
    if one.share_low is not None and one.share_high is not None:
        share = f"{share} ({at_least(one.share_low)}–{at_most(one.share_high)})"
    cells = [one.class_name, percent(one.fitted_share, unit=False), share]
    cells.append("–" if one.guaranteed is None else f"≥ {at_least(one.guaranteed)}")
    if not one.n or one.correct is None or one.accuracy_low is None or one.accuracy_high is None:
        return [*cells, "–", "–", "–"]
    correct = percent(one.correct / one.n, unit=False)
    return [*cells, f"{one.n:,}", correct, span(one.accuracy_low, one.accuracy_high)]
