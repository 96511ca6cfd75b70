"""``iterit plant``: a copy of a pool with records of known worth, to see what a tool picks from it."""

from pathlib import Path
from typing import Annotated

import typer

from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table
from iterit.cli.options.record_options import Files, RecordOptions, inputs_of
from iterit.records.planting.planted_pool import PlantingSettings


def plant(
    files: Files,
    *,
    out: Annotated[
        Path,
        typer.Option(help="Where to write the planted pool, as conversations: .jsonl, .json or .parquet."),
    ] = Path("planted.jsonl"),
    planting: PlantingSettings,
    reading: RecordOptions,
) -> None:
    """Plant records of known worth in a copy of a pool: wrong answers, near copies, other languages.

    Let any tool pick from the copy; iterit audit PICKS --pool planted.jsonl then shows what it picked. The
    field "planted" says what kind each record is: do not let the tool see it.

    Example: iterit plant your.jsonl --out planted.jsonl
    """
    from iterit.records.planting.planted_pool import plant as plant_records

    check_output(out, (".jsonl", ".json", ".parquet"), inputs_of(files, out))
    records = reading.read(files)
    planted = plant_records(records, planting)
    write_or_rescue(out, lambda path: planted.records.write(path))
    counts = [[kind or "as it was", f"{(planted.kinds == kind).sum():,}"] for kind in ("", *planting.shares)]
    print_table("Planted records", ["kind", "records"], counts)
    print_lines([f"Wrote {out}: {len(records):,} records."])
