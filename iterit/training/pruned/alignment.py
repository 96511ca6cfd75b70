"""Trains a pruned model on general text, once, so that it predicts about as the whole one does.

The loss is that of the next token, over blocks of text that are all of one length. A run that is stopped
resumes from its newest checkpoint.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.errors import RecordsError
from iterit.training.pruned.cutting import load_pruned
from iterit.training.pruned.prune_settings import AlignmentSettings
from iterit.training.pruned.pruned_manifest import read_manifest
from iterit.training.saving.checkpoint_writing import checkpoint_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FOLDER = "alignment"
_STEPS_BETWEEN = 50


def texts_digest(texts: Sequence[str]) -> str:
    """Return a digest of texts, in their order.

    Examples
    --------
    >>> texts_digest(["a", "b"]) == texts_digest(["ab"])
    False
    """
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]


def blocks_of(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], n_tokens: int) -> list[list[int]]:
    """Return texts as tokens, one after another with an end between them, in blocks of one length.

    What does not fill the last block is omitted.

    Raises
    ------
    RecordsError
        The texts fill no block.
    """
    tokens: list[int] = []
    end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    for text in texts:
        tokens += [*tokenizer(text)["input_ids"], *end]
    if len(tokens) < n_tokens:
        raise RecordsError(
            f"the texts have {len(tokens):,} tokens, which fill no block of {n_tokens:,}",
            parameter="block_tokens",
            received=n_tokens,
            allowed=f"at most {len(tokens):,}",
            fix="pass more text, or use shorter blocks",
        )
    return [tokens[start : start + n_tokens] for start in range(0, len(tokens) - n_tokens + 1, n_tokens)]


def alignment_facts(texts: Sequence[str], settings: AlignmentSettings, seed: int) -> dict[str, object]:
    """Return what decides an alignment, JSON-able."""
    facts = {name: value for name, value in asdict(settings).items() if name != "device"}
    return {"texts": texts_digest(texts), "seed": seed, **facts}


def align(folder: str | Path, texts: Sequence[str], settings: AlignmentSettings, seed: int = 0) -> float:
    """Train the model of a pruned folder on texts, and write it back; its manifest says so afterwards.

    Parameters
    ----------
    folder : str or Path
    texts : sequence of str
    settings : AlignmentSettings
    seed : int, default=0

    Returns
    -------
    float
        Mean loss of the steps, in nats.

    Raises
    ------
    ModelError
        The folder holds no pruned model.
    RecordsError
        The texts are too short.
    StorageError
        The folder cannot be written.
    """
    import torch
    import transformers

    from debias.inference.models.loading import quiet

    target, manifest = Path(folder), read_manifest(folder)
    transformers.set_seed(seed)
    with quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(target)
    blocks = blocks_of(tokenizer, texts, settings.block_tokens)
    aligned: Any = load_pruned(target, torch.float32)
    kept_as = _dtype_in(target)
    work = target / _FOLDER
    arguments = transformers.TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        bf16=settings.bf16,
        use_cpu=settings.device == "cpu",
        dataloader_pin_memory=settings.device != "cpu" and torch.cuda.is_available(),
        save_steps=_STEPS_BETWEEN,
        save_total_limit=2,
        logging_steps=10,
        report_to=[],
        disable_tqdm=True,
        seed=seed,
    )
    rows: Any = [{"input_ids": block, "labels": block} for block in blocks]
    trainer = transformers.Trainer(
        aligned,
        arguments,
        data_collator=transformers.default_data_collator,  # blocks are of one length: nothing is padded
        train_dataset=rows,
        processing_class=tokenizer,
    )
    with checkpoint_errors(target):
        done = trainer.train(resume_from_checkpoint=_newest(work))
        if trainer.is_world_process_zero():
            with quiet():
                aligned.to("cpu", kept_as).save_pretrained(target)
            facts = {
                **alignment_facts(texts, settings, seed),
                "n_tokens": len(blocks) * settings.block_tokens,
            }
            replace(manifest, aligned=facts).write(target)
            shutil.rmtree(work, ignore_errors=True)
    return float(done.training_loss)


def _dtype_in(folder: Path) -> Any:
    """Return the number format of the weights in a folder."""
    from safetensors import safe_open

    file = sorted(folder.glob("*.safetensors"))[0]
    with safe_open(file, framework="pt") as tensors:
        return next(tensors.get_tensor(name).dtype for name in tensors.keys())  # noqa: SIM118


def _newest(work: Path) -> str | None:
    """Return the newest checkpoint whose last file was written."""
    found = [path.parent for path in work.glob("checkpoint-*/trainer_state.json")]
    newest = max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    return None if newest is None else str(newest)
