"""``iterit select``: the records that are hard and add to what is already picked."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.command_group import say
from debias.console.frame_files import FRAME_FORMATS, write_frame
from debias.console.number_formats import counted
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines, print_table
from debias.errors import RecordsError, param
from debias.settings import setting
from iterit.cli.options.record_options import Files, RecordOptions, inputs_of
from iterit.cli.options.scoring_options import ScoringEngine, ScoringOptions, Signals
from iterit.cli.options.selection_options import (
    RULES,
    Floor,
    PickOptions,
    Quota,
    SignalOptions,
    limits_of,
    pool_lengths,
)
from iterit.selection.selection_settings import SelectionSettings

if TYPE_CHECKING:
    import pandas as pd

    from iterit.records.instruction_records import Records
    from iterit.selection.selection import Selection

RECORD_FORMATS = (".jsonl", ".json", ".parquet")


@dataclass(frozen=True)
class SelectOptions(PickOptions):
    """How many records are picked, from which, where they are held, and for which trainer."""

    folder: Path | None = setting(
        None,
        "Keep records and n-grams in this folder while the command runs, if memory is too small.",
        metavar="FOLDER",
        option="--on-disk",
    )
    for_trainer: str | None = setting(
        None,
        "Also write the data set entry with which this trainer reads the picked records.",
        one_of=("axolotl", "llama-factory"),
        option="--for",
    )


def select(
    files: Files,
    *,
    engine: Annotated[ScoringEngine, Only("engine", "model", "dtype", "device")],
    picks: SelectOptions,
    out: Annotated[
        Path, typer.Option(help="Where to write the picked records, in their original form.")
    ] = Path("selected.jsonl"),
    scores: Annotated[
        Path | None,
        typer.Option(help="Scores of these records from `iterit score`, in any order; computed by default."),
    ] = None,
    why: Annotated[
        Path | None,
        typer.Option(help="Also write a table that explains the picks: complexity, diversity, score, rank."),
    ] = None,
    selection: Annotated[SelectionSettings, Only(*RULES, "seed")],
    signal: SignalOptions,
    quotas: Quota = None,
    floors: Floor = None,
    scoring: ScoringOptions,
    reading: RecordOptions,
) -> None:
    """Select the records that are hard for a model and add to what is already picked.

    The records are scored first, unless --scores names a file. No record is scored twice.

    Example: iterit select your.jsonl --model demo --ratio 0.05
    """
    from debias.inference.engine_settings import open_engine
    from iterit.ngrams.ngram_counts import count_ngrams
    from iterit.records.dataset_entries import entry_path, write_entry
    from iterit.rounds.round_state import n_picks_of
    from iterit.scoring.score_files import read_scores, read_values
    from iterit.selection.selection import select as select_rows
    from iterit.selection.selection_inputs import check_sources

    check_output(out, RECORD_FORMATS, inputs_of(files, out))
    if why is not None:
        check_output(why, FRAME_FORMATS, (*inputs_of(files, why), out), "why")
    if picks.for_trainer is not None:
        entry_path(out, picks.for_trainer)
    by_vectors = picks.needs_vectors(selection.mode, selection.diversity)
    selection = replace(selection, quotas=limits_of(quotas, "quotas"), floors=limits_of(floors, "floors"))
    signal.check(selection.mode)
    records = reading.read(files, picks.folder)
    found = Signals()
    if signal.values is not None:
        found = Signals(values=read_values(signal.values, records))
    elif (other := signal.query or signal.held_out) is not None:
        found = scoring.signals(records, reading.others(other), selection.mode, engine, reading)
    candidates = picks.candidates(records)
    n_picks = n_picks_of(picks.ratio, len(candidates))
    check_sources(selection, records.sources, n_picks)
    counts = count_ngrams(records.each_response(), tokens=selection.tokens, folder=picks.folder)
    vectors = picks.vectors(records, counts) if by_vectors else None
    table = None
    if scores is not None:
        table = read_scores(scores, records)
        refused = table.index[table["status"] == "refused"].tolist()
        reading.write_refused(records, dict.fromkeys(refused, f"as {scores} says"))
    elif "complexity" in selection.how.needs:
        with open_engine(engine) as made:
            table = scoring.score(records, made, reading)
    known = found.losses if table is None else table
    lengths = None
    if selection.match_length:
        lengths = pool_lengths(records, candidates, engine.model, scoring.template, known)
    chosen = select_rows(
        table,
        counts,
        n_picks,
        candidates=candidates,
        sources=records.sources,
        embeddings=vectors,
        values=found.values,
        similarities=found.similarities,
        lengths=lengths,
        **asdict(selection),
    )
    _check_picked(chosen)
    write_or_rescue(out, lambda path: records.write(path, chosen.rows))
    if why is not None:
        write_frame(chosen.table, why)
    entry = None
    if picks.for_trainer is not None:
        entry = write_entry(records.take(chosen.rows), out, picks.for_trainer)
    limits = " and ".join(name for name, one in (("quotas", quotas), ("floors", floors)) if one)
    _print_picks(records, chosen, n_picks, limits, [out, *filter(None, (why, entry))])
    if known is not None:
        _say_cut(known.loc[chosen.rows, "status"])


_WHY = {"status refused": "refused by the template", "status empty": "no tokens in the answer"}


def _check_picked(chosen: "Selection") -> None:
    """Raise RecordsError where not one record could be picked."""
    if not len(chosen.rows):
        reasons = [f"{n:,} {_WHY.get(reason, reason)}" for reason, n in chosen.excluded.items() if n]
        raise RecordsError(
            f"no record can be picked: {', '.join(reasons) or 'none is left'}",
            received=chosen.excluded,
            fix=f"change {param('min_ifd')}, {param('max_ifd')} or {param('quotas')}, or pass other records",
        )


def _say_cut(statuses: "pd.Series[str]") -> None:
    """Say how many picks were scored without the end of their answers."""
    if n_cut := int((statuses == "truncated").sum()):
        without = f"{counted(n_cut, 'pick')} {'was' if n_cut == 1 else 'were'} scored without the end of "
        whose = "its answer" if n_cut == 1 else "their answers"
        say(f"warning: {without}{whose}: --max-tokens, or the context of the model, is shorter")


def _excluded(number: int, reason: str) -> str:
    excluded = f"{counted(number, 'record')} {'was' if number == 1 else 'were'} excluded"
    return f"{excluded}: {_WHY.get(reason, reason)}."


def _print_picks(
    records: "Records", chosen: "Selection", n_picks: int, limits: str, written: list[Path]
) -> None:
    """Print how long the picks are, where they come from, and what was excluded."""
    import numpy as np

    words = np.fromiter((len(text.split()) for text in records.each_response()), np.int64, len(records))
    rows = [
        [name, f"{len(own):,}", f"{own.mean():.1f}", f"{np.median(own):.0f}"]
        for name, own in (("all", words), ("picked", words[chosen.rows]))
        if len(own)
    ]
    print_table("Words of answers", ["records", "number", "mean", "median"], rows)
    if len(set(records.sources)) > 1:
        counts = chosen.table["source"].value_counts()
        print_table("Sources", ["source", "picked"], [[name, f"{n:,}"] for name, n in counts.items()])
    lines = [_excluded(n, reason) for reason, n in chosen.excluded.items() if n]
    lines += [
        f"{counted(n, 'pick')} made for lack of better ones: {why}." for why, n in chosen.compromises.items()
    ]
    if chosen.n_missing:
        missing = f"{chosen.n_missing:,} of {counted(n_picks, 'pick')}"
        only = f"only {counted(len(chosen.rows), 'record')} may be picked"
        lines.append(f"{missing} could not be made: {only}{f' within the {limits}' if limits else ''}.")
    lines.append(f"Wrote {written[0]}: {len(chosen.rows):,} of {len(records):,} records.")
    print_lines([*lines, *(f"Wrote {path}." for path in written[1:])])
