"""LoRA adapters within vLLM: loaded when they are chosen, under a name that no other contents have."""

from typing import Any

from debias.errors import EngineError, ModelError, ParameterError
from debias.inference.models.adapters import Adapter

_READS_HIDDEN = tuple(f"{name}_proj.lora_A.weight" for name in ("q", "k", "v", "gate", "up"))
"""Matrices whose width is that of the model, where they have these names."""


def lora_request(adapter: Adapter | None) -> Any:
    """Return what a request to vLLM carries to be computed with an adapter."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, adapter.number, str(adapter.path))


def load_adapter(llm: Any, adapter: Adapter) -> None:
    """Load an adapter now, so that one that does not fit is an error here and not the engine's end.

    Parameters
    ----------
    llm : vllm.LLM
    adapter : Adapter

    Raises
    ------
    ParameterError
        When the LLM was built without room for it.
    ModelError
        When vLLM cannot load it: damaged, or made for another model.
    EngineError
        When it was written to while it was read.
    """
    room = llm.llm_engine.vllm_config.lora_config
    if room is None or adapter.rank > room.max_lora_rank:
        most = "no adapters" if room is None else f"adapters up to rank {room.max_lora_rank}"
        raise ParameterError(
            f"adapter {str(adapter.path)!r} has rank {adapter.rank}, and the LLM was built for {most}; build"
            f" it with enable_lora=True, max_lora_rank={adapter.rank} or more"
        )
    _check_width(adapter, int(llm.llm_engine.model_config.get_hidden_size()))
    try:
        llm.llm_engine.add_lora(lora_request(adapter))
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"vLLM cannot load adapter {str(adapter.path)!r}: {lines[0]}; give one that was made for this"
            " model"
        ) from error
    if adapter.current() is not adapter:
        llm.llm_engine.remove_lora(adapter.number)
        raise EngineError(
            f"adapter {str(adapter.path)!r} was written to while it was read; use it when it is complete"
        )


def _check_width(adapter: Adapter, hidden_size: int) -> None:
    """Raise ModelError for an adapter of a model of another width, which vLLM would cut to size."""
    from safetensors import SafetensorError, safe_open

    path = adapter.path / "adapter_model.safetensors"
    if not path.is_file():
        return
    try:
        with safe_open(path, framework="numpy") as file:
            widths = {
                name: file.get_slice(name).get_shape()[-1]
                for name in file.keys()  # noqa: SIM118 (not a dictionary)
                if name.endswith(_READS_HIDDEN)
            }
    except SafetensorError as error:
        raise ModelError(f"{str(path)!r} cannot be read: {error}; save the adapter again") from error
    for name, width in widths.items():
        if width != hidden_size:
            raise ModelError(
                f"adapter {str(adapter.path)!r} was made for another model: {name} has width {width}, the"
                f" model has {hidden_size}; give one that was made for this model"
            )
