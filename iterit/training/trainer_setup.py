"""A trainer for instruction rounds from a model's name: what ``iterit train`` sets up.

Own scripts need nothing of this: see :meth:`iterit.training.trainer.IterIT.attach`.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debias.errors import MissingDependencyError, ModelError, ParameterError

_RATES = {True: 2e-4, False: 2e-5}


@dataclass(frozen=True)
class TrainingSettings:
    """How rounds are trained.

    Parameters
    ----------
    rounds : int, default=3
    epochs_per_round : int, default=1
    lora : bool, default=True
        Whether to train an adapter (LoRA, by peft) or all weights.
    lora_rank : int, default=16
        Its scale is twice the rank.
    learning_rate : float, optional
        2e-4 for an adapter and 2e-5 for all weights when left out; falls as a cosine.
    warmup_share : float, default=0.03
        Share of the steps in which it rises.
    batch_size : int, default=4
        Records that a process takes at once.
    gradient_accumulation : int, default=8
        Batches before a step.
    bf16 : bool, default=False
        Whether to train in mixed precision. Weights that are trained stay in float32; those below an
        adapter, which are not, are then kept in bfloat16, in half the memory.
    save_steps : int, optional
        Steps between checkpoints; one per epoch when left out.
    device : str, default="auto"
        "cpu" keeps off accelerators.
    seed : int, default=0

    Raises
    ------
    ParameterError
        A value is not allowed.

    Examples
    --------
    >>> TrainingSettings(lora=False).rate
    2e-05
    >>> TrainingSettings(rounds=0)
    Traceback (most recent call last):
    debias.errors.ParameterError: rounds is 0; it must be at least 1
    """

    rounds: int = 3
    epochs_per_round: int = 1
    lora: bool = True
    lora_rank: int = 16
    learning_rate: float | None = None
    warmup_share: float = 0.03
    batch_size: int = 4
    gradient_accumulation: int = 8
    bf16: bool = False
    save_steps: int | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "epochs_per_round", "lora_rank", "batch_size", "gradient_accumulation"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.warmup_share < 1:
            raise ParameterError(f"warmup_share is {self.warmup_share}; give a share from 0 up to 1")

    @property
    def rate(self) -> float:
        """The learning rate, chosen or default."""
        return _RATES[self.lora] if self.learning_rate is None else self.learning_rate


def trainable_folder(model: str | Path, out: str | Path) -> str:
    """Return a folder or hub name that a model can be trained from.

    A GGUF file can be read, but not trained on and saved again: it is copied once into an ordinary
    folder, ``base`` below the output.

    Parameters
    ----------
    model : str or Path
        "demo", a GGUF file, a folder, or a name on the Hugging Face hub.
    out : str or Path

    Returns
    -------
    str

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from filelock import FileLock

    from debias.inference.models.export import export_model

    if str(model) != "demo" and Path(model).suffix.lower() != ".gguf":
        return str(model)
    target = Path(out) / "base"
    target.mkdir(parents=True, exist_ok=True)
    with FileLock(target / "lock"):  # several processes train
        if not (target / "tokenizer_config.json").is_file():  # it is written last
            export_model(model, target)
    return str(target)


def make_trainer(model: str | Path, out: str | Path, settings: TrainingSettings) -> Any:
    """Make a trainer, to be given rounds.

    Parameters
    ----------
    model : str or Path
        A folder, or a name on the Hugging Face hub; see :func:`trainable_folder` for others.
    out : str or Path
        Where checkpoints go.
    settings : TrainingSettings

    Returns
    -------
    transformers.Trainer

    Raises
    ------
    MissingDependencyError
        peft is not installed, and an adapter is to be trained.
    ModelError
        The model cannot be loaded.
    """
    import torch
    import transformers

    from debias.inference.models.loading import quiet

    transformers.set_seed(settings.seed)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(model)
            dtype = torch.bfloat16 if settings.bf16 and settings.lora else torch.float32
            loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ModelError(f"model {str(model)!r} cannot be loaded: {str(error).splitlines()[0]}") from error
    if settings.lora:
        loaded = with_adapter(loaded, settings.lora_rank)
    saving: dict[str, Any] = {"save_strategy": "epoch"}
    if settings.save_steps is not None:
        saving = {"save_strategy": "steps", "save_steps": settings.save_steps}
    arguments = transformers.TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.rounds * settings.epochs_per_round,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_share,
        bf16=settings.bf16,
        use_cpu=settings.device == "cpu",
        dataloader_pin_memory=settings.device != "cpu" and torch.cuda.is_available(),
        logging_steps=5,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
        **saving,
    )
    return transformers.Trainer(loaded, arguments, processing_class=tokenizer)


def with_adapter(model: Any, rank: int) -> Any:
    """Put an untrained LoRA adapter on all matrices of a model's layers.

    Parameters
    ----------
    model : PreTrainedModel
    rank : int

    Returns
    -------
    PeftModel

    Raises
    ------
    MissingDependencyError
        peft is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise MissingDependencyError(
            'training an adapter needs peft; run: pip install "debias-iterit[train]", or train all weights'
        )
    from peft import LoraConfig, get_peft_model

    return get_peft_model(
        model,
        LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
