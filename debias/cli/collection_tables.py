"""What ``debias collect`` says about the tables that it made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from debias.inference.collection.grid import CollectedGrid
    from debias.tables.table import ProbabilityTable


def describe_collection(table: "ProbabilityTable", path: Path) -> list[str]:
    """Say what was collected, and how the model does without correction.

    Parameters
    ----------
    table : ProbabilityTable
        As :func:`debias.inference.collection.collection.collect` made it.
    path : Path
        Where it was written.

    Returns
    -------
    list of str
        Sentences.
    """
    import numpy as np

    from debias.console.number_formats import counted, percent
    from debias.metrics.scores import class_accuracy, cobias_from_accuracies

    lines = [f"{path}: {counted(len(table), 'row')}, classes {', '.join(table.classes)}."]
    facts = table.metadata
    mass = facts.get("label_mass", {})
    if mass:
        lines.append(
            f"The labels together got {percent(mass['mean'])} of the probability on average; "
            f"{counted(mass['rows_below'], 'row')} gave them less than {percent(mass['threshold'])}."
        )
    lines += _bounds(facts)
    if facts.get("truncated", {}).get("rows"):
        lines.append(f"The text was shortened in {counted(facts['truncated']['rows'], 'row')}.")
    if facts.get("reused_rows"):
        lines.append(f"{counted(facts['reused_rows'], 'row')} had been answered in other runs.")
    if table.labels is not None:
        predicted = np.array(table.classes)[table.to_numpy().argmax(axis=1)]
        by_class = class_accuracy(table.labels, predicted, list(table.classes)).dropna()
        shares = ", ".join(f"{name} {percent(value)}" for name, value in by_class.items())
        accuracy = float((predicted == table.labels.to_numpy()).mean())
        cobias = 100 * cobias_from_accuracies(by_class) if len(by_class) > 1 else 0.0
        lines.append(
            f"Uncorrected: {percent(accuracy)} are right, COBias {cobias:.1f} points; by class: {shares}."
        )
    return lines


def _bounds(facts: dict[str, Any]) -> list[str]:
    """Say how many answers are bounds only."""
    from debias.console.number_formats import counted

    bounds = facts.get("bounds", {})
    if not bounds.get("rows"):
        return []
    by_class = ", ".join(f"{name} {count:,}" for name, count in bounds["labels"].items())
    return [
        f"In {counted(bounds['rows'], 'row')} a label was not among the tokens that the server returns: its"
        f" probability is an upper bound there (by class: {by_class})."
    ]


def many_tables(many: "CollectedGrid") -> tuple[list[list[str]], list[list[str]]]:
    """Return the cells of two tables: each collected table, and each setting over seeds.

    Parameters
    ----------
    many : CollectedGrid

    Returns
    -------
    by_table, by_setting : list of list of str
    """
    import pandas as pd

    def cell(value: float, digits: int = 1) -> str:
        return "–" if pd.isna(value) else f"{100 * value:.{digits}f}"

    by_table = [
        [
            row["path"].name,
            f"{row['rows']:,}",
            cell(row["accuracy"]),
            cell(row["cobias"]),
            cell(row["label_mass"]),
        ]
        for row in many.by_table.to_dict("records")
    ]
    by_setting = [
        [
            str(row["task"]),
            str(row["shots"]),
            str(row["tables"]),
            *(cell(row[f"{name}_{kind}"]) for name in ("accuracy", "cobias") for kind in ("mean", "std")),
        ]
        for row in many.by_setting.to_dict("records")
    ]
    return by_table, by_setting


def describe_usage(usage: dict[str, Any]) -> list[str]:
    """Say what a server was sent.

    Parameters
    ----------
    usage : dict
        Of :meth:`debias.inference.engine.Engine.usage`.

    Returns
    -------
    list of str
        One sentence, or none.

    Examples
    --------
    >>> describe_usage({"requests": 1200, "tokens": 64000, "asked_again": {"429": 2}})
    ['The server was sent 1,200 requests (64,000 tokens), 2 of them again.']
    """
    if not usage.get("requests"):
        return []
    again = sum(usage.get("asked_again", {}).values())
    repeated = f", {again:,} of them again" if again else ""
    return [
        f"The server was sent {usage['requests']:,} requests ({usage.get('tokens', 0):,} tokens){repeated}."
    ]
