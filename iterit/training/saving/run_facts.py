"""Describes a run for its checkpoints: how it is trained, and arguments as short texts."""

import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from debias.errors import param
from iterit.records.instruction_records import Records
from iterit.training.own_trainers.trainer_checks import steps_per_epoch
from iterit.training.trainer_parts import model_of

if TYPE_CHECKING:
    from transformers import Trainer, TrainingArguments

_WITHOUT_EFFECT = (
    "output_dir", "run_name", "project", "report_to", "trackio_", "push_to_hub", "hub_", "disable_tqdm",
    "log", "include_", "save_", "eval_", "per_device_", "prediction_loss_only", "batch_eval_metrics",
    "bf16_full_eval", "fp16_full_eval", "load_best_model_at_end", "metric_for_best_model",
    "greater_is_better", "do_", "debug", "skip_memory_metrics", "torch_empty_cache_steps",
    "enable_jit_checkpoint", "ignore_data_skip", "restore_callback_states", "resume_from_checkpoint",
    "use_cpu", "use_cache", "gradient_checkpointing", "accelerator_config", "parallelism_config",
    "fsdp", "deepspeed", "ddp_", "local_rank", "dataloader_", "remove_unused_columns", "label_names",
    "train_sampling_strategy", "group_by_length", "length_column_name", "dataset_", "shuffle_dataset",
    "torch_compile",
)  # fmt: skip
"""Beginnings of arguments: paths, logging, evaluation, saving, loading, and where it is computed."""

_DIGESTS = {
    "records": "the records have",
    "rows": "the rows that take part have",
    "template": "the template or the tokenizer has",
    "frozen_weights": "the weights that are not trained have",
}
_SAMPLED = 64


def training_facts(trainer: "Trainer", n_items: int) -> dict[str, object]:
    """Return model, batches, steps and rates of a trainer, JSON-able.

    Parameters
    ----------
    trainer : transformers.Trainer
    n_items : int
        Examples that it trains in an epoch.
    """
    model, args = model_of(trainer), trainer.args
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "model": str(getattr(model, "name_or_path", "") or type(model).__name__),
        "n_parameters": sum(size for size, _ in sizes),
        "n_trained_parameters": sum(size for size, is_trained in sizes if is_trained),
        "batch_size": int(args.per_device_train_batch_size),
        "gradient_accumulation_steps": int(args.gradient_accumulation_steps),
        "n_processes": int(args.world_size),
        "steps_per_epoch": steps_per_epoch(trainer, n_items),
        **({"packs_per_round": n_items} if getattr(args, "packing", False) else {}),
        "num_train_epochs": float(args.num_train_epochs),
        "max_steps": int(args.max_steps),
        "learning_rate": float(args.learning_rate),
        "lr_scheduler_type": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
        "warmup_steps": float(args.warmup_steps),
        "weight_decay": float(args.weight_decay),
        "optim": str(getattr(args.optim, "value", args.optim)),
        **forward_only_facts(trainer),
        **_frozen(trainer),
        "arguments": training_arguments(args),
    }


def _frozen(trainer: "Trainer") -> dict[str, str]:
    """Return a digest of samples of the weights that are not trained; nothing where all are.

    A checkpoint of an adapter does not hold them. They are compared in bfloat16, in which some are kept.
    """
    import torch

    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:  # no process holds all of them
        return {}
    frozen = [one.detach().flatten() for one in model_of(trainer).parameters() if not one.requires_grad]
    if not frozen:
        return {}
    found = hashlib.sha256()
    for values in frozen:
        some = values[:: max(len(values) // _SAMPLED, 1)].cpu()
        some = some.to(torch.bfloat16).view(torch.int16) if some.is_floating_point() else some
        found.update(some.contiguous().numpy().tobytes())
    return {"frozen_weights": found.hexdigest()[:16]}


def training_arguments(args: "TrainingArguments") -> dict[str, object]:
    """Return all arguments of training, JSON-able, but those that change no result.

    Parameters
    ----------
    args : transformers.TrainingArguments
    """
    every = {name: value for name, value in args.to_dict().items() if not name.startswith(_WITHOUT_EFFECT)}
    return cast("dict[str, object]", json.loads(json.dumps(every, default=repr)))


def forward_only_facts(trainer: "Trainer") -> dict[str, object]:
    """Return how a trainer trains without gradients; nothing where it computes them."""
    if not hasattr(trainer, "sparsity"):
        return {}
    sparsity, epsilon = float(trainer.sparsity), float(cast(Any, trainer).epsilon)
    optim = "sparse-mezo" if sparsity else "mezo"
    return {"optim": optim, "share_not_touched": sparsity, "epsilon": epsilon}


def records_digest(records: Records) -> str:
    """Return a digest of what records say, as the settings of a checkpoint hold it."""
    return hashlib.sha256("".join(records.digests).encode()).hexdigest()[:16]


def shortened_argument(value: object) -> str:
    """Return an argument as a short text: equal means equal; of arrays, a digest.

    Examples
    --------
    >>> shortened_argument("ngrams")
    "'ngrams'"
    """
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    return repr(value)[:80]


def difference_told(name: str, before: object, now: object) -> str:
    """Return how a setting of a run differs, for people: a digest says nothing to them.

    Examples
    --------
    >>> difference_told("decay", 0.1, 0.5), difference_told("records", "dcf2", "77ab")
    ('decay was 0.1 and is 0.5', 'the records have changed')
    """
    if name in _DIGESTS:
        return f"{_DIGESTS[name]} changed"
    if name == "n_picks":
        return f"a round had {before} picks and has {now}, given {param('ratio')} and the number of records"
    return f"{name} was {before!r} and is {now!r}"
