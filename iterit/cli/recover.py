"""``iterit recover``: an adapter of a pruned model becomes an ordinary adapter of the whole one."""

from pathlib import Path
from typing import Annotated

import typer

from debias.console.output_files import check_output, make_folder
from debias.console.screen import print_lines


def recover(
    adapter: Annotated[Path, typer.Argument(help="Adapter trained on a pruned model, as saved by peft.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the recovered adapter.")] = Path("recovered"),
    pruned: Annotated[
        Path | None,
        typer.Option(help="Folder of the pruned model; by default the one named in the adapter."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The whole model: a folder or a hub name; by default the one that was pruned.",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Convert an adapter of a pruned model to an ordinary adapter of the whole model, for peft, vLLM etc.

    Rows and columns of pruned parts are set to 0. The whole model must be the one that was pruned.

    Example: iterit recover run/model --out recovered
    """
    from iterit.training.pruned.adapter_recovery import WEIGHTS, check_base, manifest_for, write_recovered

    manifest = manifest_for(adapter, pruned)
    base = manifest.base if model is None else model
    check_base(manifest, base)
    make_folder(out)
    check_output(out / WEIGHTS, (".safetensors",), (adapter / WEIGHTS,))
    write_recovered(adapter, out, manifest, base)
    print_lines([f"Wrote {out}: an adapter of {base}."])
