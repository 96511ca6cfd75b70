"""Corrections inside vLLM: a logits processor for each of its two interfaces, loaded by import path.

``--logits-processors debias.serving.vllm:V1Processor`` for vLLM's V1 model runner, ``:V2Processor`` for its
V2 model runner. Neither is an entry point, which every engine of a machine would load.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from debias.serving.vllm.v1_processor import V1Processor as V1Processor
    from debias.serving.vllm.v2_processor import V2Processor as V2Processor

__all__ = ["V1Processor", "V2Processor"]


def __getattr__(name: str) -> Any:
    """Import a processor, and with it vLLM, when it is asked for."""
    if name == "V1Processor":
        from debias.serving.vllm.v1_processor import V1Processor

        return V1Processor
    if name == "V2Processor":
        from debias.serving.vllm.v2_processor import V2Processor

        return V2Processor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
