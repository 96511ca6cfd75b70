"""Writes any model that transformers loads as an ordinary folder, for engines that read no GGUF.

A model that was read from a GGUF file cannot be saved as it is: a fresh model of the same configuration
takes its weights over.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from debias.files.model_writing import writing_model
from debias.inference.models.loading import load_model, quiet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def export_model(
    model: str | Path,
    folder: str | Path,
    tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
    dtype: str = "float32",
) -> Path:
    """Write a model and its tokenizer as ``config.json``, ``model.safetensors`` and ``tokenizer.json``.

    Parameters
    ----------
    model : str or Path
        "demo", a GGUF file, a folder, or a name on the Hugging Face hub.
    folder : str or Path
        Where to write; created if it does not exist.
    tokenizer : str, Path or tokenizer, optional
        The model's own by default.
    dtype : {"float32", "bfloat16", "float16"}, default="float32"
        Number format of the copy. An engine that is left to choose takes that of the file.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ModelError
        The model cannot be loaded.

    Examples
    --------
    >>> folder = export_model("demo", "demo-model")  # doctest: +SKIP
    """
    import torch
    import transformers

    loaded, reader = load_model(model, tokenizer, dtype=dtype, device="cpu")
    settings = loaded.config.to_dict()
    settings.pop("quantization_config", None)
    config = type(loaded.config).from_dict(settings)
    with quiet(), writing_model(folder):
        with torch.device("meta"):  # no memory, and no random numbers for weights that are replaced
            plain = transformers.AutoModelForCausalLM.from_config(config, dtype=loaded.dtype)
        plain.load_state_dict(loaded.state_dict(), assign=True)
        plain.tie_weights()
        plain.save_pretrained(folder)
        reader.save_pretrained(folder)
    return Path(folder)


@contextmanager
def exported_model(
    model: str | Path, tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None, dtype: str = "float32"
) -> Iterator[Path]:
    """Keep a plain copy of a model in a temporary folder for as long as the context lasts.

    Parameters
    ----------
    model, tokenizer, dtype
        As for :func:`export_model`.

    Yields
    ------
    Path
        The folder, deleted at the end.
    """
    with tempfile.TemporaryDirectory(prefix="debias-model-") as folder:
        yield export_model(model, folder, tokenizer, dtype)
