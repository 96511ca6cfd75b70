"""Tells which files of others can be read in batches: those whose columns are what they are called.

What labels and numbers mean is else decided from all rows of a file, and may be decided in another way
from a part of them.
"""

from collections.abc import Sequence

from debias.tables.formats.named_columns import ROW_NUMBERS
from debias.tables.formats.parquet_table import CLASS_PREFIX
from debias.tables.labels.class_headers import ROLES, role_of_column


def classes_of(names: Sequence[str]) -> list[str] | None:
    """Return the columns that are classes, if the names of all columns tell; else None.

    Other columns are called "id", "label", "text" or "label_mass". A table with labels and texts comes
    whole: whether a text has two labels is told from all rows.

    Examples
    --------
    >>> classes_of(["id", "no", "yes"])
    ['no', 'yes']
    >>> classes_of(["id", "0", "1"]) is None, classes_of(["no", "yes", "Label"]) is None
    (True, True)
    """
    classes = [name for name in names if name not in ROLES]
    unclear = (
        len(classes) < 2
        or len(set(names)) < len(names)
        or names[0] in ROW_NUMBERS
        or any(_may_be_else(name) for name in classes)
        or {"label", "text"} <= set(names)
    )
    return None if unclear else classes


def _may_be_else(name: str) -> bool:
    """Whether a column may be no class, or a label that is called so the position of one."""
    plain = name.strip().casefold()
    is_number = plain.lstrip("+-").replace(".", "", 1).isdecimal()
    role = role_of_column(name, ROLES)
    return not plain or is_number or plain in ("true", "false") or bool(role) or name.startswith(CLASS_PREFIX)
