"""``iterit select``: the records that are hard and add to what is already picked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.output_files import check_output
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError
from iterit.cli.selection_options import (
    NGRAMS,
    Decay,
    EmbeddingsOption,
    MaxIfd,
    MinIfd,
    ModeOption,
    NearCopiesOption,
    Quota,
    Ratio,
    embeddings_of,
    needs_embeddings,
    quotas_of,
    without_copies,
)
from iterit.cli.shared_options import (
    CACHE,
    Cache,
    Device,
    Dtype,
    DtypeOption,
    EngineName,
    EngineOption,
    Files,
    Limit,
    MaxCharacters,
    MaxTokens,
    Model,
    RecordFormat,
    Refused,
    Seed,
    SourceField,
    TemplateName,
    TemplateOption,
    engine_of,
    read,
    scores_of,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd

    from iterit.records.instruction_records import Records
    from iterit.selection.selection import Selection

RECORD_FORMATS = (".jsonl", ".json", ".parquet")
TABLE_FORMATS = (".csv", ".parquet", ".jsonl")


def select(
    files: Files,
    model: Model = "demo",
    ratio: Ratio = 0.05,
    out: Annotated[Path, typer.Option(help="The picked records, as they were read.")] = Path(
        "selected.jsonl"
    ),
    scores: Annotated[
        Path | None, typer.Option(help="Scores of the same records, from `iterit score`; made when left out.")
    ] = None,
    why: Annotated[
        Path | None, typer.Option(help="Also write a table of why: complexity, diversity, score, rank.")
    ] = None,
    mode: ModeOption = "published",
    decay: Decay = 0.1,
    embeddings: EmbeddingsOption = NGRAMS,
    min_ifd: MinIfd = None,
    max_ifd: MaxIfd = 1.0,
    quota: Quota = None,
    drop_copies: NearCopiesOption = None,
    seed: Seed = 0,
    engine: EngineOption = EngineName.transformers,
    template: TemplateOption = TemplateName.auto,
    max_tokens: MaxTokens = None,
    dtype: DtypeOption = Dtype.auto,
    device: Device = "auto",
    format: RecordFormat = "auto",
    source_field: SourceField = None,
    limit: Limit = None,
    max_characters: MaxCharacters = None,
    refused: Refused = None,
    cache: Cache = CACHE,
) -> None:
    """Select the records that are hard for a model and add to what is already picked.

    Scores them first, unless --scores names a file; what was scored once is not scored again.

    Example: iterit select your.jsonl --model demo --ratio 0.05
    """
    from iterit.ngrams.ngram_counts import count_ngrams
    from iterit.rounds.round_state import n_picks_of
    from iterit.selection.modes import mode_called
    from iterit.selection.selection import select as select_rows

    check_output(out, RECORD_FORMATS, tuple(files))
    if why is not None:
        check_output(why, TABLE_FORMATS, (*files, out), "--why")
    needs = mode_called(mode).needs
    quotas = quotas_of(quota)
    by_vectors = needs_embeddings(mode, embeddings)
    records = read(files, format, limit, refused, source_field, max_characters)
    candidates = without_copies(records, drop_copies)
    n_picks = n_picks_of(ratio, len(candidates))
    counts = count_ngrams(records.responses)
    vectors = embeddings_of(records, embeddings, counts) if by_vectors else None
    table = None
    if scores is not None:
        table = read_scores(scores, records)
    elif "complexity" in needs:
        with engine_of(engine, model, str(dtype), device) as made:
            table = scores_of(records, made, str(template), max_tokens, cache)
    chosen = select_rows(
        table,
        counts,
        n_picks,
        mode=mode,
        decay=decay,
        candidates=candidates,
        sources=records.sources,
        quotas=quotas,
        min_ifd=min_ifd,
        max_ifd=max_ifd,
        seed=seed,
        embeddings=vectors,
    )
    records.write(out, chosen.rows)
    if why is not None:
        write_frame(chosen.table, why)
    _tell(records, chosen, n_picks, out, why)


def read_scores(path: Path, records: "Records") -> "pd.DataFrame":
    """Read scores that ``iterit score`` wrote, and check that they are of these records.

    Raises
    ------
    ParameterError
        They are of others.
    """
    import pandas as pd

    if path.suffix.lower() == ".jsonl":
        table = pd.read_json(path, lines=True)
    elif path.suffix.lower() == ".parquet":
        table = pd.read_parquet(path)
    elif path.suffix.lower() == ".csv":
        table = pd.read_csv(path)
    else:
        raise ParameterError(f"--scores {str(path)!r}: the name must end in .parquet, .csv or .jsonl")
    if not {"row", "ifd", "status"} <= set(table.columns):
        raise ParameterError(f"--scores {str(path)!r}: there are no columns row, ifd and status in it")
    if len(table) != len(records):
        raise ParameterError(
            f"--scores {str(path)!r} has {len(table):,} rows and the files have {len(records):,} records;"
            " score the same files"
        )
    return table.set_index("row")


def _tell(records: "Records", chosen: "Selection", n_picks: int, out: Path, why: Path | None) -> None:
    """Print how long the picks are, where they come from, and what was left out."""
    import numpy as np

    words = np.array([len(text.split()) for text in records.responses])
    rows = [
        [name, f"{len(own):,}", f"{own.mean():.1f}", f"{np.median(own):.0f}"]
        for name, own in (("all", words), ("picked", words[chosen.rows]))
        if len(own)
    ]
    print_table("Words of answers", ["records", "number", "mean", "median"], rows)
    if len(set(records.sources)) > 1:
        counts = chosen.table["source"].value_counts()
        print_table("Sources", ["source", "picked"], [[name, f"{n:,}"] for name, n in counts.items()])
    lines = [f"{n:,} records might not be picked: {reason}." for reason, n in chosen.excluded.items() if n]
    if chosen.n_missing:
        lines.append(
            f"{chosen.n_missing:,} of {n_picks:,} picks are missing: bounds and quotas left no more."
        )
    lines.append(f"Wrote {out}: {len(chosen.rows):,} of {len(records):,} records.")
    if why is not None:
        lines.append(f"Wrote {why}.")
    print_lines(lines)
