"""Labels that come later than the rows: read from a file of ids and labels, and matched by id."""

import os
from typing import Any

from debias.errors import TableError, param, shortened
from debias.rows.row_files import read_rows
from debias.tables.formats.cells.plain_text import on_its_line
from debias.tables.formats.named_columns import cell_text
from debias.tables.table import ProbabilityTable


def late_labels(
    table: ProbabilityTable, path: str | os.PathLike[str], id_field: str = "id", label_field: str = "label"
) -> list[str | None]:
    r"""Return the label of each row of a table, None where the file has none.

    Parameters
    ----------
    table : ProbabilityTable
        With ids of its own, or rows that are numbered from 0.
    path : str or path-like
        CSV, JSON lines, JSON, Parquet or Arrow.
    id_field, label_field : str
        Names of the two fields.

    Returns
    -------
    list of str or None

    Raises
    ------
    TableError
        A row has no id or label, an id has two labels, or none of the ids is one of the table.
    RecordsError
        The file cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> table = ProbabilityTable([[0.7, 0.3], [0.4, 0.6]], classes=["no", "yes"], ids=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "labels.csv"
    ...     _ = path.write_text("id,label\nb,yes\n")
    ...     late_labels(table, path)
    [None, 'yes']
    """
    found: dict[str, str] = {}
    for number, row in enumerate(read_rows(path)):
        value: Any = row.value if isinstance(row.value, dict) else {}
        name, label = value.get(id_field), value.get(label_field)
        if name is None or label is None or not str(label).strip():
            why = f": it is {row.refused}" if row.refused else ""
            error = TableError(
                f"a row needs {id_field!r} and {label_field!r}{why}",
                file=path,
                row=number,
                received=row.text[:200],
            )
            raise on_its_line(error)
        name, label = cell_text(name), cell_text(label)
        if found.setdefault(name, label) != label:
            error = TableError(
                f"the id {shortened(name)} has two labels, {shortened(found[name])} and {shortened(label)}",
                file=path,
                row=number,
                received=label,
            )
            raise on_its_line(error)
    ids = table.ids.tolist()
    labels = [found.get(name) for name in ids]
    if not any(label is not None for label in labels):
        raise TableError(
            f"none of its {len(found):,} ids is one of the {len(ids):,} rows, such as {ids[0]!r}",
            parameter="labels_from",
            file=path,
            received=list(found)[:3],
            fix=f"use the same ids in both; {param('id_column', '...')} names the column of the table",
        )
    return labels
