"""``debias merge``: the shards of a collection become one table."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.printing.collection_tables import describe_collection
from debias.console.output_files import check_output
from debias.console.screen import print_lines


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="The files of all shards, in any order: .parquet."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Where to write the table.")] = Path("opt.parquet"),
) -> None:
    """Merge the shards that debias collect --shard wrote into one table.

    The table is byte for byte the one that a single run writes. Missing or duplicate shards and rows are
    reported as errors, as are shards made with different settings, rows or models.

    Example: debias merge part-1.parquet part-2.parquet part-3.parquet part-4.parquet --out opt.parquet
    """
    check_output(out, (".parquet",), tuple(shards))
    from debias.inference.collection.shards.merging import merge as merge_shards

    merged = merge_shards(shards, out)
    print_lines(describe_collection(merged.read(), out))
