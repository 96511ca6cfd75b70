"""Makes what a user passes into rounds: records of paths or rows, and engines that are engines."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from debias.errors import ExcludedRowsWarning, ParameterError
from iterit.records.instruction_records import Records, read_records
from iterit.records.rows_in_memory import is_iterable, is_path

if TYPE_CHECKING:
    from debias.inference.engine import Engine

RecordsLike = Records | str | Path | Sequence[str | Path] | Iterable[Mapping[str, object]]
"""Records, paths of their files, or rows."""


def records_of(records: object, parameter: str = "records") -> Records:
    """Read records, or make them of rows; say what is excluded and what is not read."""
    made = records if isinstance(records, Records) else _made_of(records, parameter)
    for note in made.notes():
        warnings.warn(note, ExcludedRowsWarning, stacklevel=3)
    return made


def engine_of(engine: object) -> "Engine | None":
    """Refuse what scores nothing."""
    from debias.inference.engine import Engine

    if not isinstance(engine, Engine | None):
        allowed = "an engine, such as TransformersEngine('a-small-model'), or omitted"
        raise ParameterError(parameter="proxy_engine", received=engine, allowed=allowed)
    return engine


def _made_of(records: object, parameter: str) -> Records:
    """Make records of paths or of rows."""
    listed = [records] if is_path(records) else records if isinstance(records, list | tuple) else []
    n_paths = sum(map(is_path, listed))
    if n_paths and n_paths == len(listed):
        return read_records(cast("Sequence[str | Path]", listed))
    if n_paths or not is_iterable(records):
        allowed = "Records, paths of their files, or rows, and not paths beside rows"
        raise ParameterError(parameter=parameter, received=records, allowed=allowed)
    return Records.from_rows(cast("Iterable[Mapping[str, object]]", records))
