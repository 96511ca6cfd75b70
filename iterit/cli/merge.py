"""``iterit merge``: the shards of scores become one file."""

from pathlib import Path
from typing import Annotated

import typer

from debias.console.frame_files import FRAME_FORMATS
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from iterit.cli.score import describe_scores


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="The files of all shards, in any order: .parquet."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Where to write the scores: .parquet, .csv or .jsonl.")] = Path(
        "scores.parquet"
    ),
) -> None:
    """Merge the shards that iterit score --shard wrote into one file of scores.

    The file is byte for byte the one that a single run writes. Missing or duplicate shards and rows are
    reported as errors, as are shards made with different models, settings or records.

    Example: iterit merge part-1.parquet part-2.parquet part-3.parquet part-4.parquet --out scores.parquet
    """
    check_output(out, FRAME_FORMATS, tuple(shards))
    from iterit.scoring.score_shards import merge_scores

    scores = merge_scores(shards, out)
    print_table(*describe_scores(scores))
    print_lines([f"Wrote {out}: {len(scores):,} records."])
