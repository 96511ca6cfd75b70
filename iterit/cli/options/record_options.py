"""The options that say which records are read, and how."""

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.command_group import say
from debias.console.output_files import try_output
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iterit.records.instruction_records import Records

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Records (Alpaca, ShareGPT, messages, question/answer): .json, .jsonl, .csv, .tsv (also .gz, "
        ".zst), .parquet, .arrow; a folder of such files or one written by save_to_disk; or a pattern "
        "with *.",
    ),
]


def inputs_of(files: list[Path], *outputs: Path | None) -> tuple[Path, ...]:
    """Return the files that are read, and outputs that would be read the next time.

    Raises
    ------
    RecordsError
        A folder or a pattern has no file.
    """
    from debias.rows.row_files import readable

    found = [file.path for file in readable(files)]
    for out in filter(None, outputs):
        for file in files:
            if (file.is_dir() and out.parent.resolve() == file.resolve()) or fnmatch(str(out), str(file)):
                found.append(out)
    return tuple(found)


@dataclass(frozen=True)
class RecordOptions(Settings):
    """How records are read."""

    format: str = setting("auto", "auto, alpaca, sharegpt, messages or qa: the fields of a row.")
    source_field: str | None = setting(
        None, "Field with the source of a record; the name of its file by default."
    )
    limit: int | None = setting(None, "Read at most this many records.")
    max_characters: int | None = setting(
        None, "Exclude records whose messages have more characters than this in total."
    )
    refused: Path | None = setting(
        None, "Write the rows that cannot be used to this .jsonl file, with reasons."
    )

    def read(self, files: list[Path], folder: Path | None = None) -> "Records":
        """Read records, and say which rows were excluded.

        Parameters
        ----------
        files : list of Path
        folder : Path, optional
            Holds what does not fit into memory.

        Raises
        ------
        RecordsError, ParameterError
            Nothing can be read.
        StorageError
            The folder, or the file of refused rows, cannot be written.
        """
        from iterit.records.instruction_records import check_usable, read_all
        from iterit.records.record_columns import RecordColumns

        if self.refused is not None:
            try_output(self.refused, "refused")
        columns = RecordColumns(self.format, self.limit, self.max_characters, self.source_field, folder)
        records = read_all(files, columns)
        for note in records.notes(self._where):
            say(f"warning: {note}")
        if self.refused is not None:
            records.write_refused(self.refused)
        check_usable(records, files)
        return records

    def others(self, file: Path) -> "Records":
        """Read records that are not picked from, such as a query; rows of it that cannot be used are said.

        Raises
        ------
        RecordsError, ParameterError
            Nothing can be read.
        """
        return replace(self, limit=None, source_field=None, refused=None).read([file])

    @property
    def _where(self) -> str:
        return f"see {self.refused}" if self.refused else "--refused FILE writes them"

    def write_refused(self, records: "Records", refused: "Mapping[int, str]") -> None:
        """Write the rows that cannot be used again, with records that a template refuses, by row."""
        if refused and self.refused is not None:
            records.write_refused(self.refused, refused)

    def say_refused(self, records: "Records", refused: "Mapping[int, str]") -> None:
        """Say how many records a template refuses, and write them with the rows that cannot be used."""
        from iterit.templates.template import refusals_told

        if refused:
            say(f"warning: {refusals_told(refused, self._where)}")
        self.write_refused(records, refused)
