"""Loads LoRA adapters into vLLM when they are chosen, under a name that no other contents have."""

from typing import TYPE_CHECKING

from debias.errors import EngineError, ModelError, ParameterError, param
from debias.inference.models.adapters import Adapter
from debias.inference.models.loading import first_line

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.lora.request import LoRARequest

_OTHER = "pass one that was made for this model"
_READS_HIDDEN = tuple(f"{name}_proj.lora_A.weight" for name in ("q", "k", "v", "gate", "up"))
"""Matrices whose width is that of the model, where they have these names."""


def lora_request(adapter: Adapter | None) -> "LoRARequest | None":
    """Return what makes vLLM compute a request with an adapter."""
    if adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter.name, adapter.number, str(adapter.path))


def load_adapter(llm: "LLM", adapter: Adapter) -> None:
    """Load an adapter now, so that one that does not fit is an error here and not the engine's end.

    Parameters
    ----------
    llm : vllm.LLM
    adapter : Adapter

    Raises
    ------
    ParameterError
        The LLM was built without room for it.
    ModelError
        vLLM cannot load it: it is damaged, or made for another model.
    EngineError
        It was written to while it was read.
    """
    room = llm.llm_engine.vllm_config.lora_config
    if room is None or adapter.rank > room.max_lora_rank:
        most = "no adapters" if room is None else f"adapters up to rank {room.max_lora_rank}"
        raise ParameterError(
            f"adapter {str(adapter.path)!r} has rank {adapter.rank}, but the LLM was built for {most}",
            parameter="adapter",
            received=adapter.rank,
            fix=f"build it with {param('enable_lora', True)}, max_lora_rank={adapter.rank} or more",
        )
    _check_width(adapter, int(llm.llm_engine.model_config.get_hidden_size()))
    try:
        llm.llm_engine.add_lora(lora_request(adapter))
    except Exception as error:
        raise ModelError(
            f"vLLM cannot load adapter {str(adapter.path)!r}: {first_line(error)}",
            parameter="adapter",
            received=str(adapter.path),
            fix=_OTHER,
        ) from error
    if adapter.current() is not adapter:
        llm.llm_engine.remove_lora(adapter.number)
        raise EngineError(
            f"adapter {str(adapter.path)!r} changed while it was read",
            parameter="adapter",
            received=str(adapter.path),
            fix="use it when it is complete",
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
        raise ModelError(
            f"the adapter cannot be read: {error}", file=path, parameter="adapter", fix="save it again"
        ) from error
    for name, width in widths.items():
        if width != hidden_size:
            raise ModelError(
                f"adapter {str(adapter.path)!r} was made for another model: {name} has width {width}, the"
                f" model has {hidden_size}",
                parameter="adapter",
                received=width,
                fix=_OTHER,
            )
