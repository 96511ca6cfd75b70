"""``iterit select``: the records that are hard and add to what is already picked."""

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.frame_files import FRAME_FORMATS, write_frame
from debias.console.number_formats import counted
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table
from iterit.cli.record_options import Files, RecordOptions, inputs_of
from iterit.cli.scoring_options import ScoringEngine, ScoringOptions
from iterit.cli.selection_options import PickOptions, Quota, quotas_of
from iterit.selection.selection_settings import SelectionSettings

if TYPE_CHECKING:
    from iterit.records.instruction_records import Records
    from iterit.selection.selection import Selection

RECORD_FORMATS = (".jsonl", ".json", ".parquet")


class Trainer(StrEnum):
    """Trainers for which an entry can be written."""

    axolotl = "axolotl"
    llama_factory = "llama-factory"


def select(
    files: Files,
    *,
    engine: Annotated[ScoringEngine, Only("engine", "model", "dtype", "device")],
    picks: PickOptions,
    out: Annotated[Path, typer.Option(help="The picked records, as they were read.")] = Path(
        "selected.jsonl"
    ),
    scores: Annotated[
        Path | None,
        typer.Option(help="Scores of these records, from `iterit score`, in any order; computed by default."),
    ] = None,
    why: Annotated[
        Path | None, typer.Option(help="Also write a table of why: complexity, diversity, score, rank.")
    ] = None,
    for_: Annotated[
        Trainer | None,
        typer.Option("--for", help="Also write the entry by which this trainer reads the picked records."),
    ] = None,
    selection: Annotated[SelectionSettings, Only("mode", "decay", "min_ifd", "max_ifd", "tokens", "seed")],
    quotas: Quota = None,
    scoring: ScoringOptions,
    reading: RecordOptions,
) -> None:
    """Select the records that are hard for a model and add to what is already picked.

    Scores them first, unless --scores names a file; what was scored once is not scored again.

    Example: iterit select your.jsonl --model demo --ratio 0.05
    """
    from debias.inference.engine_settings import open_engine
    from iterit.ngrams.ngram_counts import count_ngrams
    from iterit.records.dataset_entries import entry_path, write_entry
    from iterit.rounds.round_state import n_picks_of
    from iterit.scoring.score_files import read_scores
    from iterit.selection.modes import mode_called
    from iterit.selection.selection import select as select_rows

    check_output(out, RECORD_FORMATS, inputs_of(files, out))
    if why is not None:
        check_output(why, FRAME_FORMATS, (*inputs_of(files, why), out), "why")
    if for_ is not None:
        entry_path(out, for_.value)
    by_vectors = picks.needs_vectors(selection.mode)
    selection = replace(selection, quotas=quotas_of(quotas))
    records = reading.read(files)
    candidates = picks.candidates(records)
    n_picks = n_picks_of(picks.ratio, len(candidates))
    counts = count_ngrams(records.responses, tokens=selection.tokens)
    vectors = picks.vectors(records, counts) if by_vectors else None
    table = None
    if scores is not None:
        table = read_scores(scores, records)
    elif "complexity" in mode_called(selection.mode).needs:
        with open_engine(engine) as made:
            table = scoring.score(records, made, reading)
    chosen = select_rows(
        table,
        counts,
        n_picks,
        candidates=candidates,
        sources=records.sources,
        embeddings=vectors,
        **asdict(selection),
    )
    write_or_rescue(out, lambda path: records.write(path, chosen.rows))
    if why is not None:
        write_frame(chosen.table, why)
    entry = None if for_ is None else write_entry(records.take(chosen.rows), out, for_.value)
    _print_picks(records, chosen, n_picks, [out, *filter(None, (why, entry))])


def _excluded(number: int) -> str:
    return f"{counted(number, 'record')} {'was' if number == 1 else 'were'} excluded"


def _print_picks(records: "Records", chosen: "Selection", n_picks: int, written: list[Path]) -> None:
    """Print how long the picks are, where they come from, and what was excluded."""
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
    lines = [f"{_excluded(n)}: {reason}." for reason, n in chosen.excluded.items() if n]
    if chosen.n_missing:
        missing = f"{chosen.n_missing:,} of {counted(n_picks, 'pick')}"
        lines.append(f"{missing} could not be made: bounds and quotas left no more records.")
    lines.append(f"Wrote {written[0]}: {len(chosen.rows):,} of {len(records):,} records.")
    print_lines([*lines, *(f"Wrote {path}." for path in written[1:])])
