"""Makes a trainer from a model's name, for ``iterit train``.

Scripts of your own do not need this file: see :meth:`iterit.training.trainer.IterIT.attach`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from debias.errors import ModelError, ParameterError, param
from debias.inference.models.new_adapter import with_adapter
from iterit.training.setup.training_device import check_device, trains_on_cpu
from iterit.training.setup.training_settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import Trainer


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
            epsilon=settings.perturbation,
        ),
    )
