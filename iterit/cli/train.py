"""``iterit train``: rounds of scoring, picking and training."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.console.screen import print_lines
from debias.errors import ParameterError
from iterit.cli.selection_options import (
    NGRAMS,
    Decay,
    EmbeddingsOption,
    MaxIfd,
    MinIfd,
    ModeOption,
    NearCopiesOption,
    Quota,
    Ratio,
    embeddings_of,
    needs_embeddings,
    quotas_of,
    without_copies,
)
from iterit.cli.shared_options import (
    Device,
    Dtype,
    Files,
    Limit,
    MaxCharacters,
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

if TYPE_CHECKING:
    from debias.inference.engine import Engine
    from iterit.training.trainer_setup import TrainingSettings


class Scorer(StrEnum):
    """What scores in the rounds."""

    trainer = "trainer"
    vllm = "vllm"


def train(
    files: Files,
    model: Model = "demo",
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoints, scores, the trained model.")
    ] = Path("iterit-run"),
    ratio: Ratio = 0.05,
    rounds: Annotated[int, typer.Option(help="How often to score, pick and train.")] = 3,
    epochs_per_round: Annotated[int, typer.Option(help="Passes over the picks of a round.")] = 1,
    lora: Annotated[bool, typer.Option("--lora/--full", help="Train an adapter, or all weights.")] = True,
    lora_rank: Annotated[int, typer.Option(help="Rank of the adapter.")] = 16,
    learning_rate: Annotated[
        float | None, typer.Option(help="2e-4 for an adapter and 2e-5 for all weights when left out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Records at once.")] = 4,
    gradient_accumulation: Annotated[int, typer.Option(help="Batches before a step.")] = 8,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Train in mixed precision, and score in bfloat16.")
    ] = False,
    save_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; one per round when left out.")
    ] = None,
    mode: ModeOption = "published",
    decay: Decay = 0.1,
    embeddings: EmbeddingsOption = NGRAMS,
    window: Annotated[
        str,
        typer.Option(
            help="What a later round scores again: top (by the newest scores) or published (fixed)."
        ),
    ] = "top",
    update_ratio: Annotated[float, typer.Option(help="Records scored again per record to pick.")] = 3.0,
    above_share: Annotated[
        float, typer.Option(help="Share of what is scored again for records of --max-ifd or above.")
    ] = 0.1,
    stale_share: Annotated[
        float, typer.Option(help="Share of what is scored again for the records with the oldest scores.")
    ] = 0.1,
    min_ifd: MinIfd = None,
    max_ifd: MaxIfd = 1.0,
    quota: Quota = None,
    drop_copies: NearCopiesOption = None,
    seed: Seed = 0,
    engine: Annotated[
        Scorer,
        typer.Option(help="What scores: the model that is trained, or vLLM, given its adapter each round."),
    ] = Scorer.trainer,
    vllm_memory: Annotated[
        float, typer.Option(help="Share of the GPU's memory for vLLM; the rest is for training.")
    ] = 0.4,
    score_dtype: Annotated[
        Dtype, typer.Option(help="Number format in which it scores: that of the training when left out.")
    ] = Dtype.auto,
    template: TemplateOption = TemplateName.auto,
    max_tokens: MaxTokens = None,
    device: Device = "auto",
    format: RecordFormat = "auto",
    source_field: SourceField = None,
    limit: Limit = None,
    max_characters: MaxCharacters = None,
    refused: Refused = None,
) -> None:
    """Train on what teaches the model most now, round by round.

    Stopped by Ctrl-C or a crash, the same command goes on from the newest checkpoint, and ends with
    the same picks. Several processes: accelerate launch -m iterit.cli train ...

    Example: iterit train your.jsonl --model demo --ratio 0.05 --rounds 3 --out run
    """
    from iterit.reports.rounds_report import RoundsReport
    from iterit.training.checkpoints import last_whole_checkpoint
    from iterit.training.trainer import IterIT
    from iterit.training.trainer_setup import TrainingSettings, make_trainer, trainable_folder

    settings = TrainingSettings(
        rounds=rounds,
        epochs_per_round=epochs_per_round,
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
    if engine == Scorer.vllm and not lora:
        raise ParameterError("--engine vllm is given adapters, and --full trains none; leave out one of them")
    if bf16 and score_dtype == Dtype.auto:
        score_dtype = Dtype.bfloat16
    quotas = quotas_of(quota)
    by_vectors = needs_embeddings(mode, embeddings)
    records = read(files, format, limit, refused, source_field, max_characters)
    selection: dict[str, Any] = {"embeddings": embeddings_of(records, embeddings)} if by_vectors else {}
    iterit = IterIT(
        records,
        ratio,
        mode=mode,
        decay=decay,
        window=window,  # type: ignore[arg-type]
        update_ratio=update_ratio,
        above_share=above_share,
        stale_share=stale_share,
        min_ifd=min_ifd,
        max_ifd=max_ifd,
        rows=without_copies(records, drop_copies),
        template=str(template),
        score_dtype=str(score_dtype) if engine == Scorer.trainer else "auto",
        max_tokens=max_tokens,
        epochs_per_round=epochs_per_round,
        cache=out / "scores",
        seed=seed,
        quotas=quotas,
        **selection,
    )
    out.mkdir(parents=True, exist_ok=True)
    base = trainable_folder(model, out)
    with scorer_of(engine, base, str(score_dtype), settings, vllm_memory) as scorer:
        iterit.engine = scorer
        trainer = iterit.attach(make_trainer(base, out, settings))
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


@contextmanager
def scorer_of(
    engine: Scorer, model: str, dtype: str, settings: "TrainingSettings", memory: float
) -> "Iterator[Engine | None]":
    """Start vLLM where it is to score, and close it in the end.

    Yields
    ------
    Engine or None

    Raises
    ------
    ParameterError
        Several processes train.
    MissingDependencyError, ModelError
        vLLM cannot be started.
    """
    if engine == Scorer.trainer:
        yield None
        return
    from accelerate import PartialState
    from torch import cuda

    from debias.inference.vllm.vllm_engine import VLLMEngine
    from debias.inference.vllm.vllm_start import lora_room

    if PartialState().num_processes > 1:
        raise ParameterError("--engine vllm is for one process; leave it out, so that all of them score")
    options: dict[str, Any] = {"gpu_memory_utilization": memory} if cuda.is_available() else {}
    rank = lora_room(settings.lora_rank)
    with VLLMEngine(model, dtype=dtype, enable_lora=True, max_lora_rank=rank, **options) as made:
        yield made


def print_report(report: object) -> None:
    """Print the headline, findings and tables of a report on rounds."""
    from debias.console.screen import print_table
    from iterit.reports.rounds_pages import findings, headline
    from iterit.reports.rounds_report import RoundsReport

    assert isinstance(report, RoundsReport)
    for section in report.sections():
        if section.rows:
            print_table(section.heading, section.header, section.rows)
    print_lines([*findings(report), headline(report)])
