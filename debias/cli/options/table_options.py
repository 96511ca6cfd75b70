"""The options that say how a table is read, and those that most commands share."""

import csv
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.settings import Settings, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from debias.tables.table import ProbabilityTable

TABLE_HELP = (
    "Table of class probabilities: Parquet, CSV, JSON, the published text format, saved server answers, or "
    "lm-evaluation-harness samples."
)

CorrectionFile = Annotated[Path, typer.Option(help="Correction that `debias fit` wrote.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Level = Annotated[float, typer.Option(help="Confidence level of the intervals.")]
Resamples = Annotated[int, typer.Option(help="Number of bootstrap resamples.")]
LABELS = setting(
    None,
    "How to read labels that are numbers, where both readings are possible: name (class names; 0 and 1 may "
    "also stand for False and True, or no and yes) or position (counted from 0, in the class order of the "
    "file or task).",
    one_of=("name", "position"),
    metavar="name|position",
)


def _reading(help: str, metavar: str = "NAME") -> Any:
    """Return an option that only some formats have."""
    return setting(None, help, metavar=metavar, panel="Reading tables")


@dataclass(frozen=True)
class TableOptions(Settings):
    """How a table is read."""

    classes: str | None = setting(
        None,
        "Class names in column order, for files without class names; otherwise, the columns to use as "
        "classes. Quote a name that contains a comma.",
        metavar="NAME,NAME,...",
    )
    format: str | None = setting(
        None,
        "parquet, csv, text, json, answers or lm-eval; inferred from the file by default.",
        metavar="NAME",
    )
    labels: str | None = LABELS
    normalise: bool = setting(False, "Divide each row by its sum.")
    id_column: str | None = _reading("Column with the ids.")
    label_column: str | None = _reading("Column with the labels.")
    text_column: str | None = _reading("Column with the texts.")
    label_mass_column: str | None = _reading("Column with the label mass.")
    delimiter: str | None = _reading("Column separator of a CSV file.", "CHARACTER")
    decimal: str | None = _reading("Decimal separator of a CSV file: '.' or ','.", "CHARACTER")
    encoding: str | None = _reading("Encoding of a text file, such as latin-1.")
    text_field: str | None = _reading("Field of lm-evaluation-harness documents that contains the text.")
    targets: str | None = _reading(
        "Whether lm-evaluation-harness targets are indices or choices.", "index|choice"
    )
    filter: str | None = _reading("lm-evaluation-harness filter whose samples are read.")

    def read(self, path: Path, sum_to_one: bool = True) -> "ProbabilityTable":
        """Read a table, whose rows must sum to 1 where anything is computed from them.

        Raises
        ------
        TableError, ParameterError
            The file cannot be read.
        """
        from debias.tables.table import ProbabilityTable

        return ProbabilityTable.read(
            path, self.format, normalise=self.normalise, sum_to_one=sum_to_one, **self._given()
        )

    def read_batches(self, path: Path) -> "Iterator[ProbabilityTable]":
        """Read a table a batch of rows at a time where its format allows that; errors as of ``read``."""
        from debias.tables.batches.table_batches import read_batches

        return read_batches(path, self.format, normalise=self.normalise, sum_to_one=True, **self._given())

    def _given(self) -> dict[str, Any]:
        """Return the options of a reader that were given."""
        given: dict[str, Any] = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name not in ("format", "normalise") and getattr(self, one.name) is not None
        }
        if self.classes is not None:
            given["classes"] = listed_words(self.classes)
        return given


def listed_words(text: str) -> list[str]:
    """Return words that stand between commas; one that holds a comma is quoted, as in a CSV file.

    Examples
    --------
    >>> listed_words("World, Sports"), listed_words('World,"Sci, Tech"')
    (['World', 'Sports'], ['World', 'Sci, Tech'])
    """
    rows = csv.reader(StringIO(text, newline=""), skipinitialspace=True)
    return [word.strip() for row in rows for word in row]


def labels_of(table: "ProbabilityTable") -> "pd.Series[Any]":
    """Return the labels of a table; without them it is refused with what to do about it."""
    _ = table.label_indices
    assert table.labels is not None
    return table.labels
