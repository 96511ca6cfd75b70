"""Looks up what the processor can do with bfloat16."""

import torch

_MATRIX_UNITS = ("amx_bf16", "amx_tile")
_VECTOR_UNITS = ("avx512_bf16",)


def has_matrix_units() -> bool:
    """Whether there are units for matrices of bfloat16 (AMX), which sum in float32."""
    return _has_any(_MATRIX_UNITS)


def multiplies_bfloat16() -> bool:
    """Whether there are instructions for bfloat16 at all: AMX, or AVX-512 BF16."""
    return _has_any(_MATRIX_UNITS + _VECTOR_UNITS)


def _has_any(names: tuple[str, ...]) -> bool:
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(able.get(name) for name in names)
