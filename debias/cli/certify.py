"""``debias certify``: what holds on new rows, from labelled rows that nothing was chosen on."""

from pathlib import Path
from typing import Annotated

import typer

from debias.cli.options.table_options import TABLE_HELP, TableOptions, labels_of, listed_words
from debias.cli.printing.guarantee_tables import print_guarantee, print_seen
from debias.console.output_files import check_output, write_or_rescue
from debias.console.screen import print_lines
from debias.errors import ParameterError


def certify(
    correction: Annotated[Path, typer.Argument(help="Correction that `debias fit` wrote.")],
    held_out: Annotated[
        Path | None,
        typer.Argument(
            help=f"{TABLE_HELP} Must have labels. If omitted, the guarantee rests on the fitted rows alone."
        ),
    ] = None,
    *,
    opt: Annotated[
        Path | None,
        typer.Option(
            help="Table that the correction was fitted on; used to find shared rows by id and text."
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Joint confidence level of all statements.")] = 0.95,
    class_mix: Annotated[
        str | None,
        typer.Option(metavar="CLASS=SHARE,...", help="Class mix of new rows at which to bound the accuracy."),
    ] = None,
    precision: Annotated[
        float,
        typer.Option(
            help="Desired half-width of the bounds; the output says how many held-out rows it takes."
        ),
    ] = 0.05,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the correction with its guarantee; overwrites the input by default."
        ),
    ] = None,
    reading: TableOptions,
) -> None:
    """Guarantee class accuracies, COBias and accuracy on new rows, with a stated confidence.

    The rows must be labelled, and nothing may have been fitted or chosen on them: rows that the
    correction was fitted on are rejected. Without a table, the command prints what the fitted rows alone
    guarantee, which is weak, and writes nothing.

    Example: debias certify correction.json held_out.parquet

    Another class mix: debias certify correction.json held_out.parquet --class-mix yes=0.9,no=0.1
    """
    target = correction if out is None else out
    inputs = tuple(path for path in (held_out, opt) if path is not None)
    if held_out is not None:
        check_output(target, (".json",), inputs)
    from debias.estimators.tuning.methods import load
    from debias.guarantees.certification import certify as certify_rows

    debiaser = load(correction)
    if held_out is None:
        print_seen(debiaser.fitted_, confidence)
        return
    rows = reading.read(held_out)
    labels_of(rows)
    guarantee = certify_rows(
        debiaser,
        rows,
        confidence=confidence,
        class_mix=None if class_mix is None else _shares(class_mix),
        precision=precision,
        opt=None if opt is None else reading.read(opt),
        keep=True,
    )
    write_or_rescue(target, debiaser.save)
    print_guarantee(guarantee, held_out.name)
    print_lines([f"Wrote the guarantee into {target}."])


def _shares(given: str) -> dict[str, float]:
    """Return the shares that an option names."""
    parts = [part.rpartition("=") for part in listed_words(given)]
    try:
        shares = {name.strip(): float(share) for name, equals, share in parts if equals}
    except ValueError:
        shares = {}
    if len(shares) != len(parts):
        allowed = "CLASS=SHARE pairs separated by commas, each class once"
        raise ParameterError(parameter="class_mix", allowed=allowed, received=given)
    return shares
