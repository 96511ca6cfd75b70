"""The options that say how a table is read, and those that most commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.settings import Settings, setting

if TYPE_CHECKING:
    import pandas as pd

    from debias.tables.table import ProbabilityTable

TABLE_HELP = (
    "Table of class probabilities: Parquet, CSV, published text format, or samples of lm-evaluation-harness."
)

CorrectionFile = Annotated[Path, typer.Option(help="Correction that `debias fit` wrote.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]
Level = Annotated[float, typer.Option(help="Confidence level of the intervals.")]
Resamples = Annotated[int, typer.Option(help="Bootstrap resamples.")]
LABELS = setting(
    None,
    "What labels are, where numbers could be both: name, of a class, or position, of a column from 0.",
    one_of=("name", "position"),
    metavar="name|position",
)


@dataclass(frozen=True)
class TableOptions(Settings):
    """How a table is read."""

    classes: str | None = setting(
        None,
        "Class names in column order, for files that hold none (the published text format).",
        metavar="NAME,NAME,...",
    )
    format: str | None = setting(
        None, "parquet, csv, text or lm-eval; inferred from the file by default.", metavar="NAME"
    )
    labels: str | None = LABELS
    normalise: bool = setting(False, "Divide each row by its sum.")

    def read(self, path: Path) -> "ProbabilityTable":
        """Read a table.

        Raises
        ------
        TableError, ParameterError
            The file cannot be read.
        """
        from debias.tables.table import ProbabilityTable

        options: dict[str, Any] = {} if self.labels is None else {"labels": self.labels}
        if self.classes is not None:
            options["classes"] = [one.strip() for one in self.classes.split(",")]
        return ProbabilityTable.read(path, self.format, normalise=self.normalise, **options)


def labels_of(table: "ProbabilityTable") -> "pd.Series[Any]":
    """Return the labels of a table; without them it is refused with what to do about it.

    Warns of texts that have two labels.
    """
    from debias.tables.second_labels import warn_of_second_labels

    _ = table.label_indices
    assert table.labels is not None
    if table.texts is not None:
        warn_of_second_labels(table.texts, table.labels)
    return table.labels
