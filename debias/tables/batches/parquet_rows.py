"""Reads Parquet of others in batches: the schema and the different labels tell that each stands alone."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from debias.tables.batches.plain_columns import classes_of
from debias.tables.formats.arrow_files import DAMAGE, arrow_batches, parts_of_others, refuse_oversized
from debias.tables.formats.named_columns import ColumnChoice
from debias.tables.formats.parquet_table import CLASS_PREFIX, header_in
from debias.tables.labels.class_headers import ROLES
from debias.tables.table_parts import TableParts


def parquet_classes(path: Path, n_rows: int) -> list[str] | None:
    """Return the classes of a Parquet file of others that can be read in batches; None for other files.

    Parameters
    ----------
    path : Path
    n_rows : int
        A file with no more rows comes whole.

    Returns
    -------
    list of str or None
        None, too, where the file is damaged: reading it whole says what is wrong.
    """
    try:
        with pq.ParquetFile(path) as file:
            refuse_oversized(path, file.metadata)
            schema, is_small = file.schema_arrow, file.metadata.num_rows <= n_rows
        if is_small or header_in(path, schema) is not None:
            return None
        fields = [one for one in schema if not one.name.startswith("__index_level_")]
        classes = classes_of([one.name for one in fields])
        if classes is None or not all(_holds(one, classes) for one in fields):
            return None
        return classes if "label" not in schema.names or _are_labels(path, classes, n_rows) else None
    except DAMAGE:
        return None


def parquet_parts(path: Path, classes: list[str], n_rows: int) -> Iterator[TableParts]:
    """Yield the rows of such a file; the first batch tells which columns are no classes."""
    choice = ColumnChoice()
    for batch in arrow_batches(path, n_rows):
        yield parts_of_others(path, batch, CLASS_PREFIX, choice)
        choice = ColumnChoice(classes=classes)


def _holds(field: pa.Field, classes: list[str]) -> bool:
    """Whether a column is of the kind that its name says."""
    kind = field.type
    if field.name in classes or field.name == "label_mass":
        return bool(pa.types.is_floating(kind))
    is_text = bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return field.name in ROLES and (is_text or (field.name == "id" and bool(pa.types.is_integer(kind))))


def _are_labels(path: Path, classes: list[str], n_rows: int) -> bool:
    """Whether every row has a label, which is the name of a class."""
    return all(
        set(pc.unique(batch["label"]).to_pylist()) <= set(classes)
        for batch in arrow_batches(path, n_rows, ["label"])
    )
