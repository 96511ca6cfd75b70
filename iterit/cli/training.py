"""``iterit train``: rounds of scoring, picking and training."""

from pathlib import Path
from typing import Annotated

import typer

from debias.terminal.screen import print_lines
from iterit.cli.inputs import (
    Device,
    Files,
    Limit,
    MaxTokens,
    Model,
    RecordFormat,
    Refused,
    Seed,
    SourceField,
    TemplateName,
    TemplateOption,
    read,
)
from iterit.cli.selecting import Decay, MaxIfd, MinIfd, ModeOption, Quota, Ratio, quotas_of, without_copies


def train(
    files: Files,
    model: Model = "demo",
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoints, scores, the trained model.")
    ] = Path("iterit-run"),
    ratio: Ratio = 0.05,
    rounds: Annotated[int, typer.Option(help="How often to score, pick and train.")] = 3,
    lora: Annotated[bool, typer.Option("--lora/--full", help="Train an adapter, or all weights.")] = True,
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapter.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option(help="2e-4 for an adapter and 2e-5 for all weights when left out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Records at once.")] = 4,
    gradient_accumulation: Annotated[int, typer.Option(help="Batches before a step.")] = 8,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train in mixed precision.")] = False,
    save_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; one per round when left out.")
    ] = None,
    mode: ModeOption = "published",
    decay: Decay = 0.1,
    window: Annotated[
        str,
        typer.Option(
            help="What a later round scores again: top (by the newest scores) or published (fixed)."
        ),
    ] = "top",
    update_ratio: Annotated[float, typer.Option(help="Records scored again per record to pick.")] = 3.0,
    min_ifd: MinIfd = None,
    max_ifd: MaxIfd = 1.0,
    quota: Quota = None,
    drop_copies: Annotated[
        float | None, typer.Option(help="First leave out near copies of earlier answers, such as 0.8.")
    ] = None,
    seed: Seed = 0,
    template: TemplateOption = TemplateName.auto,
    max_tokens: MaxTokens = None,
    device: Device = "auto",
    format: RecordFormat = "auto",
    source_field: SourceField = None,
    limit: Limit = None,
    refused: Refused = None,
) -> None:
    """Train on what teaches the model most now, round by round.

    Stopped by Ctrl-C or a crash, the same command goes on from the newest checkpoint, and ends with
    the same picks. Several processes: accelerate launch -m iterit.cli train ...

    Example: iterit train your.jsonl --model demo --ratio 0.05 --rounds 3 --out run
    """
    from iterit.reports.rounds_report import RoundsReport
    from iterit.running.checkpoints import last_whole_checkpoint
    from iterit.trainer import IterIT
    from iterit.training import TrainingSettings, make_trainer, trainable_folder

    settings = TrainingSettings(
        rounds=rounds,
        lora=lora,
        lora_rank=lora_rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
        gradient_accumulation=gradient_accumulation,
        bf16=bf16,
        save_steps=save_steps,
        device=device,
        seed=seed,
    )
    quotas = quotas_of(quota)
    records = read(files, format, limit, refused, source_field)
    iterit = IterIT(
        records,
        ratio,
        mode=mode,
        decay=decay,
        window=window,  # type: ignore[arg-type]
        update_ratio=update_ratio,
        min_ifd=min_ifd,
        max_ifd=max_ifd,
        rows=without_copies(records, drop_copies),
        template=str(template),
        max_tokens=max_tokens,
        cache=out / "scores",
        seed=seed,
        quotas=quotas,
    )
    out.mkdir(parents=True, exist_ok=True)
    trainer = make_trainer(trainable_folder(model, out), out, settings)
    iterit.attach(trainer)
    resumed = last_whole_checkpoint(out, trainer.args.world_size)
    if resumed is not None and trainer.is_world_process_zero():
        print_lines([f"Going on from {resumed}."])
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trainer.save_model(str(out / "model"))
    if trainer.is_world_process_zero():
        report = RoundsReport.from_folder(out)
        report.write(out / "report.html")
        print_report(report)
        print_lines([f"Wrote {out / 'model'} and {out / 'report.html'}."])


def print_report(report: object) -> None:
    """Print the headline, findings and tables of a report on rounds."""
    from debias.terminal.screen import print_table
    from iterit.reports.pages import findings, headline
    from iterit.reports.rounds_report import RoundsReport

    assert isinstance(report, RoundsReport)
    for section in report.sections():
        if section.rows:
            print_table(section.heading, section.header, section.rows)
    print_lines([*findings(report), headline(report)])
