"""The project's own Parquet format, written block by block, so that a table need not fit into memory.

What stands beside the rows is known last and goes to the end of the file, where readers find it alike.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from debias.tables.formats.parquet_table import COMPRESSION, SCHEMA_KEY, as_columns, header_of
from debias.tables.table_parts import TableParts


class ParquetTableWriter:
    """Write blocks of rows, then what the file says about them.

    The same blocks give the same bytes.

    Parameters
    ----------
    path : Path
        The file; no table before :meth:`finish`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from debias.tables.table import ProbabilityTable
    >>> block = TableParts(np.array([[0.7, 0.3]]), ("no", "yes"), ids=np.array(["a"], dtype=object))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.parquet"
    ...     with ParquetTableWriter(path) as writer:
    ...         writer.write(block)
    ...         writer.finish(TableParts(block.probabilities, ("no", "yes"), ids_given=True))
    ...     ProbabilityTable.read(path)
    ProbabilityTable(1 rows, classes=['no', 'yes'], unlabelled)
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer: Any = None

    def write(self, block: TableParts) -> None:
        """Write a block of rows, which has the same columns as the blocks before.

        Parameters
        ----------
        block : TableParts

        Raises
        ------
        OSError
            It cannot be written.
        """
        columns = as_columns(block)
        if self._writer is None:
            # Without Arrow's own schema, readers take the metadata from the end of the file.
            self._writer = pq.ParquetWriter(
                self._file, columns.schema, compression=COMPRESSION, store_schema=False
            )
        self._writer.write_table(columns, row_group_size=columns.num_rows)

    def finish(self, about: TableParts) -> None:
        """Write what the file says about its rows, and wait until all is on the disk.

        Parameters
        ----------
        about : TableParts
            Classes, metadata, ``ids_given``; its rows are not looked at.

        Raises
        ------
        OSError
            It cannot be written.
        """
        self._writer.add_key_value_metadata({SCHEMA_KEY: header_of(about)})
        self._writer.close()
        self._writer = None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> "ParquetTableWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file; one that is not finished is no table."""
        try:
            if self._writer is not None:
                self._writer.close()
            self._file.close()
        except (OSError, pa.ArrowException):
            if error is None:
                raise
