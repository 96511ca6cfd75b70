"""Makes a trainer from a model's name, for ``iterit train``.

Scripts of your own do not need this file: see :meth:`iterit.training.trainer.IterIT.attach`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from debias.errors import ModelError, ParameterError, param
from debias.inference.models.new_adapter import with_adapter
from debias.settings import Settings, setting

if TYPE_CHECKING:
    from transformers import Trainer

_RATES = {True: 2e-4, False: 2e-5}
_FORWARD_ONLY_RATES = {True: 1e-4, False: 1e-6}  # published for MeZO
_EPSILONS = {True: 1e-2, False: 1e-3}
OPTIMIZERS = ("adamw", "mezo", "sparse-mezo")


@dataclass(frozen=True)
class TrainingSettings(Settings):
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
        By default 2e-4 for an adapter and 2e-5 for all weights, falling as a cosine; without gradients 1e-4
        and 1e-6, constant.
    warmup_share : float, default=0.03
        Share of the steps in which it rises.
    batch_size : int, default=4
        Records per process and batch.
    gradient_accumulation : int, default=8
        Batches per step.
    bf16 : bool, optional
        Whether to train in mixed precision: by default where an adapter is trained by gradients on a device
        that computes in bfloat16. Weights that are trained stay in float32; frozen weights below an adapter
        are then kept in bfloat16, in half the memory.
    save_steps : int, optional
        Steps between checkpoints; one checkpoint per epoch by default.
    device : str, default="auto"
        "cpu" uses no accelerator; others train on the first one.
    seed : int, default=0
    optimizer : {"adamw", "mezo", "sparse-mezo"}, default="adamw"
        The latter two train by forward passes alone, see
        :mod:`iterit.training.zeroth_order.zeroth_order_trainer`.
    sparsity : float, default=0.75
        Share of the weights that sparse-mezo does NOT touch: the largest of each tensor.
    epsilon : float, optional
        How far weights are moved to measure the loss without gradients: by default 1e-2 for an adapter and
        1e-3 for all weights.

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
    debias.errors.ParameterError: rounds must be a positive integer, got 0.
    """

    rounds: int = setting(3, "Number of rounds of scoring, picking and training.", least=1)
    epochs_per_round: int = setting(1, "Number of epochs over the picks of a round.", least=1)
    lora: bool = setting(True, "Train an adapter, or all weights.", option="--lora/--full")
    lora_rank: int = setting(16, "Rank of the adapter.", least=1)
    learning_rate: float | None = setting(
        None, "Learning rate; by default 2e-4 for an adapter and 2e-5 for all weights.", above=0
    )
    warmup_share: float = setting(
        0.03, "Share of the steps used for learning rate warm-up.", least=0, most=0.99
    )
    batch_size: int = setting(4, "Batch size per process.", least=1)
    gradient_accumulation: int = setting(8, "Number of batches per step.", least=1)
    bf16: bool | None = setting(
        None,
        "Train in mixed precision, and score in bfloat16; by default if an adapter is trained and the device"
        " computes in bfloat16.",
    )
    save_steps: int | None = setting(
        None, "Number of steps between checkpoints; by default there is one per epoch.", least=1
    )
    device: str = setting("auto", "auto, cpu, or cuda (the first one that is visible).")
    seed: int = setting(0, "Random seed.", least=0)
    optimizer: str = setting(
        "adamw",
        "adamw, or an optimizer that needs forward passes only: mezo (all weights) or sparse-mezo.",
        one_of=OPTIMIZERS,
    )
    sparsity: float = setting(
        0.75, "Share of the weights that sparse-mezo does NOT change.", least=0, most=0.9999
    )
    epsilon: float | None = setting(
        None,
        "Size of the perturbation used to measure the loss; by default 1e-2 for an adapter, 1e-3 otherwise.",
        above=0,
    )

    @property
    def by_gradients(self) -> bool:
        """Whether training computes gradients."""
        return self.optimizer == "adamw"

    @property
    def mixed_precision(self) -> bool:
        """Whether to train in mixed precision, given or default."""
        if self.bf16 is None:
            return self.lora and self.by_gradients and computes_in_bfloat16(self.device)
        return self.bf16

    @property
    def rate(self) -> float:
        """The learning rate, given or default."""
        rates = _RATES if self.by_gradients else _FORWARD_ONLY_RATES
        return rates[self.lora] if self.learning_rate is None else self.learning_rate


def trainable_folder(model: str | Path, out: str | Path) -> str:
    """Return a folder or hub name that a model can be trained from.

    A GGUF file can be read, but not trained on and saved again: it is copied once into an ordinary
    folder, ``base`` below the output.

    Parameters
    ----------
    model : str or Path
        "demo", a GGUF file, a folder, or a name on the Hugging Face hub.
    out : str or Path

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


def trains_on_cpu(device: str) -> bool:
    """Whether the processor trains: it is asked for, or there is nothing else.

    Parameters
    ----------
    device : str
        As in :class:`TrainingSettings`.

    Examples
    --------
    >>> trains_on_cpu("cpu")
    True
    """
    import torch
    from transformers.utils.import_utils import is_torch_xla_available

    has_other = torch.accelerator.is_available() or is_torch_xla_available()
    return device == "cpu" or (device == "auto" and not has_other)


def computes_in_bfloat16(device: str) -> bool:
    """Whether the device that trains has instructions for bfloat16.

    Parameters
    ----------
    device : str
        As in :class:`TrainingSettings`.
    """
    import torch
    from transformers.utils.import_utils import is_torch_bf16_gpu_available

    from debias.inference.models.loading import fast_in_bfloat16

    if trains_on_cpu(device):
        return fast_in_bfloat16("cpu")
    if torch.cuda.is_available():  # older GPUs emulate it, which takes longer than float32
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(is_torch_bf16_gpu_available())


def check_device(device: str) -> None:
    """Refuse a device that a trainer would not train on: it takes the first accelerator, or the processor.

    Parameters
    ----------
    device : str
        As in :class:`TrainingSettings`.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> check_device("cpu")
    >>> check_device("gpu")
    Traceback (most recent call last):
    debias.errors.ParameterError: device must be 'auto', 'cpu', 'cuda' or a numbered device, got 'gpu'.
    """
    import torch

    from debias.inference.models.loading import device_called

    place = torch.device(device_called(device))
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device == "auto" or place.type in ("cpu", "xla", None if found is None else found.type):
        if not place.index:
            return
        raise ParameterError(
            parameter="device",
            received=device,
            allowed=f"{place.type!r}, which is the first device that is visible",
            fix=f"make the other ones invisible, such as by CUDA_VISIBLE_DEVICES={place.index}",
        )
    allowed = "'auto' or 'cpu'" if found is None else f"'auto', 'cpu' or {found.type!r}"
    raise ParameterError(parameter="device", received=device, allowed=f"{allowed} on this machine")


def check_precision(settings: TrainingSettings) -> None:
    """Refuse mixed precision on an accelerator that does not compute in it.

    Parameters
    ----------
    settings : TrainingSettings

    Raises
    ------
    ParameterError
    """
    from transformers.utils.import_utils import is_torch_bf16_gpu_available, is_torch_xla_available

    if not settings.mixed_precision or not settings.by_gradients or trains_on_cpu(settings.device):
        return
    if not (is_torch_bf16_gpu_available() or is_torch_xla_available()):
        raise ParameterError(
            f"{param('bf16', True)} needs an accelerator that computes in bfloat16, but this machine has "
            "none",
            parameter="bf16",
            received=True,
            allowed="False on this machine",
            fix=f"omit {param('bf16')}, or train on the processor with {param('device', repr('cpu'))}",
        )


def make_trainer(model: str | Path, out: str | Path, settings: TrainingSettings) -> "Trainer":
    """Make a trainer, to be given rounds.

    Parameters
    ----------
    model : str or Path
        A folder, also of a pruned model, or a name on the Hugging Face hub; see :func:`trainable_folder` for
        others.
    out : str or Path
        Folder of checkpoints.
    settings : TrainingSettings

    Raises
    ------
    MissingDependencyError
        peft is not installed, and an adapter is to be trained.
    ModelError
        The model cannot be loaded.
    ParameterError
        There is no such device, or mixed precision is asked of an accelerator that has none.
    """
    import torch
    import transformers

    from debias.inference.models.loading import quiet
    from iterit.training.pruned.cutting import load_causal_model

    check_device(settings.device)
    check_precision(settings)
    transformers.set_seed(settings.seed)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(model)
            dtype = torch.bfloat16 if settings.mixed_precision and settings.lora else torch.float32
            loaded = load_causal_model(model, dtype)
    except ModelError:
        raise
    except (OSError, ValueError) as error:
        problem = f"the model {str(model)!r} cannot be loaded: {str(error).splitlines()[0]}"
        raise ModelError(problem, parameter="model", received=str(model)) from error
    if settings.lora:
        loaded = with_adapter(loaded, settings.lora_rank)
    arguments = transformers.TrainingArguments(
        output_dir=str(out),
        num_train_epochs=settings.rounds * settings.epochs_per_round,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.rate,
        lr_scheduler_type="cosine" if settings.by_gradients else "constant",
        warmup_steps=settings.warmup_share if settings.by_gradients else 0,
        bf16=settings.mixed_precision and settings.by_gradients,
        use_cpu=trains_on_cpu(settings.device),
        dataloader_pin_memory=settings.device != "cpu" and torch.cuda.is_available(),
        logging_steps=5,
        save_strategy="epoch" if settings.save_steps is None else "steps",
        save_steps=settings.save_steps or 500,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        seed=settings.seed,
    )
    if settings.by_gradients:
        return transformers.Trainer(loaded, arguments, processing_class=tokenizer)
    from iterit.training.zeroth_order.zeroth_order_trainer import ZerothOrderTrainer

    return cast(
        "Trainer",
        ZerothOrderTrainer(
            loaded,
            arguments,
            processing_class=tokenizer,
            sparsity=settings.sparsity if settings.optimizer == "sparse-mezo" else 0.0,
            epsilon=settings.epsilon or _EPSILONS[settings.lora],
        ),
    )
