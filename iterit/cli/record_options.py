"""The options that say which records are read, and how."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.command_group import say
from debias.console.number_formats import counted
from debias.errors import RecordsError, param
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from iterit.records.instruction_records import Records

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Records (Alpaca, ShareGPT, messages, question/answer): .json, .jsonl, .parquet, also .gz.",
    ),
]


@dataclass(frozen=True)
class RecordOptions(Settings):
    """How records are read."""

    format: str = setting("auto", "auto, alpaca, sharegpt, messages or qa: the fields of a row.")
    source_field: str | None = setting(
        None, "Field that says where a record comes from; the name of its file by default."
    )
    limit: int | None = setting(None, "Read only so many records.")
    max_characters: int | None = setting(
        None, "Exclude records whose messages have more characters together."
    )
    refused: Path | None = setting(None, "Write the rows that cannot be used, with reasons, .jsonl.")

    def read(self, files: list[Path]) -> "Records":
        """Read records, and say which rows were excluded.

        Raises
        ------
        RecordsError, ParameterError
            Nothing can be read.
        """
        from iterit.records.instruction_records import read_records

        records = read_records(
            files,
            format=self.format,
            limit=self.limit,
            max_characters=self.max_characters,
            source_field=self.source_field,
        )
        counts = records.refused_counts
        if counts:
            n = sum(counts.values())
            reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.items())
            where = f"; see {self.refused}" if self.refused else "; --refused FILE writes them"
            say(f"warning: {counted(n, 'row')} {'was' if n == 1 else 'were'} excluded: {reasons}{where}.")
        if self.refused is not None:
            records.write_refused(self.refused)
        if not len(records):
            raise RecordsError(
                "no record can be used",
                file=", ".join(map(str, files)),
                fix=f"see the reasons with {param('refused', 'FILE')}",
            )
        return records
