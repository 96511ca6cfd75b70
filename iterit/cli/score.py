"""``iterit score``: how hard each record is for a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.frame_files import FRAME_FORMATS
from debias.console.option_groups import Only
from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param
from debias.inference.collection.shards.ray_settings import RaySettings
from debias.inference.collection.shards.shard import Shard
from iterit.cli.options.record_options import Files, RecordOptions, inputs_of
from iterit.cli.options.scoring_options import ScoringEngine, ScoringOptions

if TYPE_CHECKING:
    import pandas as pd

    from iterit.records.instruction_records import Records


def score(
    files: Files,
    *,
    engine: Annotated[ScoringEngine, Only("engine", "model", "dtype", "device")],
    out: Annotated[Path, typer.Option(help="Where to write the scores: .parquet, .csv or .jsonl.")] = Path(
        "scores.parquet"
    ),
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Score part I of N on this machine; iterit merge combines the parts into one file.",
        ),
    ] = None,
    cluster: RaySettings,
    scoring: ScoringOptions,
    reading: RecordOptions,
) -> None:
    """Score how hard each record is for a model (IFD).

    The output has the columns row, ifd, conditional and direct (mean negative log-likelihoods of the
    answer, in nats), n_tokens, status, source and digest (of the record). Rerun the same command to resume
    after an interruption.

    Example: iterit score alpaca.jsonl --model demo --out scores.parquet

    On four machines: iterit score alpaca.jsonl --shard 1/4 --out part-1.parquet, and so on to 4/4
    """
    part = None if shard is None else Shard.of(shard)
    check_output(out, FRAME_FORMATS if part is None else (".parquet",), inputs_of(files, out))
    from debias.inference.collection.shards.ray_chunks import open_engine_or_cluster
    from debias.inference.engine_settings import open_engine
    from iterit.scoring.score_files import write_scores

    if part is not None and cluster.ray is not None:
        raise ParameterError(
            f"{param('shard')} cannot be combined with {param('ray')}",
            parameter="ray",
            received=cluster.ray,
            fix="omit one of them: a cluster distributes the chunks among its workers itself",
        )
    records = reading.read(files)
    if part is not None:
        from iterit.scoring.score_shards import write_shard

        with open_engine(engine) as made:
            scored = scoring.score_shard(records, made, reading, part)
        write_shard(out, scored, records)
        print_lines(
            [
                f"{out}: shard {part}, {len(scored.scores):,} of {len(records):,} records.",
                "This is not a file of scores yet: combine all shards with iterit merge.",
            ]
        )
        return
    with open_engine_or_cluster(engine, cluster) as made:
        scores = scoring.score(records, made, reading)
    write_scores(out, scores, records)
    print_table(*describe_scores(scores))
    print_hardest(scores, records)
    print_lines([f"Wrote {out}: {len(scores):,} records."])


def describe_scores(scores: "pd.DataFrame") -> tuple[str, list[str], list[list[str]]]:
    """Return title, header and rows of a table on scores."""
    rows = []
    for status, own in scores.groupby("status"):
        quantiles = own["ifd"].quantile([0.1, 0.5, 0.9])
        values = ["–" if value != value else f"{value:.3f}" for value in quantiles]
        rows.append([str(status), f"{len(own):,}", f"{own['n_tokens'].mean():.1f}", *values])
    return "Difficulty (IFD)", ["status", "records", "tokens", "10 %", "median", "90 %"], rows


def print_hardest(scores: "pd.DataFrame", records: "Records", n_shown: int = 3) -> None:
    """Print how the hardest records below the bound of 1 begin."""
    hardest = scores[scores["status"] == "ok"].nlargest(n_shown, "ifd")
    lines = []
    for row, ifd in hardest["ifd"].items():
        answer = " ".join(records[int(str(row))].messages[-1].content.split())
        lines.append(f"{ifd:.3f}  row {row}: {answer[:80]}")
    if lines:
        print_lines(["Hardest answers for which the question still helps:", *lines])
