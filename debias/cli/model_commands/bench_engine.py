"""``debias bench-engine``: how fast a model answers here, and what the machine could do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from debias.cli.options.table_options import Seed
from debias.console.option_groups import Only
from debias.console.output_files import check_output, write_text
from debias.console.screen import print_lines, print_table
from debias.inference.engine_settings import EngineSettings

if TYPE_CHECKING:
    from debias.inference.benchmark import EngineSpeed


def bench_engine(
    task: Annotated[
        str, typer.Argument(help="Task whose prompts are used: a name or your own TOML file.")
    ] = "trec",
    *,
    split: Annotated[str, typer.Option(help="Split of the task.")] = "opt",
    data: Annotated[Path | None, typer.Option(help="Read the rows from this file instead.")] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts.")] = 200,
    shots: Annotated[int, typer.Option(min=0, help="Number of solved examples in each prompt.")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of timed passes, after one that is not timed.")
    ] = 3,
    seed: Seed = 0,
    engine: Annotated[
        EngineSettings,
        Only(
            *("engine", "model", "tokenizer", "scoring", "dtype", "device", "batch_tokens", "compile"),
            *("adapter", "context_length", "base_url", "style", "concurrency"),
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Also write all figures to this file, as JSON.")] = None,
) -> None:
    """Benchmark an engine: prompts and tokens per second, padding, memory, and share of the peak.

    The peak is the speed of plain matrix products of the model's widths, on this machine, in the same run.
    A server gets every prompt again in each pass, and counts it each time.

    Example: debias bench-engine agnews --prompts 200 --dtype bfloat16
    """
    if out is not None:
        check_output(out, (".json",))
    from rich.console import Console

    from debias.inference.benchmark import measure_engine
    from debias.inference.engine_settings import open_engine
    from debias.inference.texts.prompted_rows import load_prompted_rows
    from debias.inference.texts.tasks import load_task

    described = load_task(task)
    rows = load_prompted_rows(described, split, shots, seed=seed, limit=prompts, data=data)
    texts = [described.prompt(text, rows.demonstrations) for text in rows.texts]
    with open_engine(engine) as made, Console(stderr=True).status("one pass that is not timed") as status:
        speed = measure_engine(
            made,
            texts,
            described.continuations,
            rounds,
            lambda done: status.update(f"round {done} of {rounds} done"),
        )
        facts = made.facts()
    if out is not None:  # the file first: who reads the output may go
        content = speed.to_dict() | {"engine": made.fingerprint, "facts": facts}
        import json

        write_text(json.dumps(content, indent=1) + "\n", out)
    print_table(f"{engine.model}, {len(texts):,} prompts of {described.name}", ("", ""), figures(speed))
    skipped = {k: v for k, v in facts.get("shortcuts", {}).items() if v is not True}
    print_lines(f"Shortcut not used: {name} ({reason})." for name, reason in skipped.items())
    if out is not None:
        print_lines([f"Wrote {out}."])


def figures(speed: "EngineSpeed") -> list[tuple[str, str]]:
    """Return the rows of the table: names and numbers with their units.

    Parameters
    ----------
    speed : EngineSpeed

    Returns
    -------
    list of (str, str)
        Figures that the engine cannot tell are omitted.
    """
    rows = [
        ("prompts per second", f"{speed.prompts_per_second:,.1f}"),
        ("seconds per pass", f"{speed.seconds:.2f} ({speed.fastest:.2f} to {speed.slowest:.2f})"),
    ]
    if speed.tokens_per_second is not None:
        rows.append(("prompt tokens per second", f"{speed.tokens_per_second:,.0f}"))
    if speed.token_counts is not None and speed.padding is not None and speed.prompt_tokens is not None:
        share = speed.token_counts.tokens / speed.prompt_tokens
        rows.append(("tokens computed, share of prompt tokens", f"{share:.1%}"))
        rows.append(("padding, share of computed tokens", f"{speed.padding:.1%}"))
    if speed.achieved is not None and speed.peak is not None and speed.share_of_peak is not None:
        rows.append(("speed of the model's matrix products", f"{speed.achieved:,.0f} GFLOP/s"))
        rows.append(("speed of plain matrix products", f"{speed.peak:,.0f} GFLOP/s"))
        rows.append(("share of that peak", f"{speed.share_of_peak:.1%}"))
    rows.append(("peak memory", f"{speed.memory:,.0f} MB"))
    return rows
