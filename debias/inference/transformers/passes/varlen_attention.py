"""Attends to segments of one long sequence of tokens: nothing is padded, chains need no mask.

Many rows go through a model as one sequence. Tokens of a segment see their own segment only, and the
keys and values of a beginning that all segments share; both parts are softmaxes of their own,
joined by their normalisers. Transformers knows this attention by name, and it reads what it needs
from the plan of the pass that is under way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from typing import Protocol

import torch
from transformers import AttentionInterface

NAME = "debias_segments"
# What attention may be given beside queries, keys and values without changing its meaning here.
# The caller takes care of windows: see Capabilities.window.
_HARMLESS = {"dropout", "sliding_window", "is_causal", "position_ids", "output_attentions", "use_cache"}


@dataclass
class Segments:
    """Neighbouring segments of one length.

    Parameters
    ----------
    start : int
        First token of the first one.
    length, count : int
        Tokens of each, and how many there are.
    mask : tensor of shape (count, length, length), optional
        Added to the scores; None where every token sees all tokens of its segment before it.
    """

    start: int
    length: int
    count: int = 1
    mask: torch.Tensor | None = None
    _by_heads: dict[int, torch.Tensor] = field(default_factory=dict)

    def mask_for(self, n_key_heads: int) -> torch.Tensor | None:
        """Return the mask once per key head, made once for all layers."""
        if self.mask is not None and n_key_heads not in self._by_heads:
            self._by_heads[n_key_heads] = self.mask.repeat(n_key_heads, 1, 1).unsqueeze(1)
        return self._by_heads.get(n_key_heads)


@dataclass
class AttentionPlan:
    """The segments that a pass attends to, and what it is to note.

    Parameters
    ----------
    segments : sequence of Segments
        In order, without gaps.
    keep : {"", "modules", "keys"}
        What is noted: nothing, the attention modules, or keys and values of each of them.
    """

    segments: Sequence[Segments]
    keep: str = ""
    modules: list[torch.nn.Module] = field(default_factory=list)
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)


class _Configuration(Protocol):
    """The part of a model's configuration that names its attention."""

    _attn_implementation: str | None


_under_way = local()


@contextmanager
def attending_by(plan: AttentionPlan, config: _Configuration) -> Iterator[AttentionPlan]:
    """Let a model attend by a plan, while the block lasts."""
    before = config._attn_implementation
    _under_way.plan = plan
    config._attn_implementation = NAME
    try:
        yield plan
    finally:
        config._attn_implementation = before
        _under_way.plan = None


def set_prefix(
    modules: Sequence[torch.nn.Module], pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Give each attention module the keys and values of the shared beginning.

    Parameters
    ----------
    modules : sequence of Module
    pairs : sequence of (keys, values)
        Of shape (1, n_key_heads, n_shared, width).
    """
    for module, pair in zip(modules, pairs, strict=True):
        module.__dict__["_debias_prefix"] = pair


def forget_prefix(modules: Sequence[torch.nn.Module]) -> None:
    """Remove what :func:`set_prefix` gave to the modules."""
    for module in modules:
        module.__dict__.pop("_debias_prefix", None)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: object,
) -> tuple[torch.Tensor, None]:
    """Attend as the plan says; called by transformers.

    Raises
    ------
    NotImplementedError
        The model asks for more than plain attention (capped scores, sinks, biases).
    """
    unknown = sorted(name for name, given in more.items() if given is not None and name not in _HARMLESS)
    if attention_mask is not None or unknown or more.get("is_causal") is False:
        raise NotImplementedError(f"attention depends on {', '.join(unknown) or 'a mask'}")
    if not torch.compiler.is_compiling() and _under_way.plan.keep == "modules":
        _under_way.plan.modules.append(module)
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    keys, values = getattr(module, "_debias_prefix", None) or (key[:, :, :0], value[:, :, :0])
    return torch.ops.debias.attend_to_segments(query, key, value, keys, values, scale), None


@torch.library.custom_op("debias::attend_to_segments", mutates_args=())
def attend_to_segments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    prefix_keys: torch.Tensor,
    prefix_values: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """Attend to the own segment and to the shared beginning.

    Parameters
    ----------
    query : tensor, shape (1, n_heads, n_tokens, width)
    key, value : tensors, shape (1, n_key_heads, n_tokens, width)
    prefix_keys, prefix_values : tensors, shape (1, n_key_heads, n_shared, width)
    scale : float

    Returns
    -------
    tensor, shape (1, n_tokens, n_heads, width)
    """
    plan: AttentionPlan = _under_way.plan
    if plan.keep == "keys":
        plan.pairs.append((key.clone(), value.clone()))
    _, n_heads, n_tokens, width = query.shape
    n_key_heads = key.shape[1]
    group = n_heads // n_key_heads
    # Heads that share keys become a dimension of their own, along which keys do not advance.
    asked = query.reshape(n_key_heads, group, n_tokens, width)
    shared = prefix_keys.shape[2] > 0
    answer = torch.empty(n_tokens, n_heads, width, dtype=query.dtype)
    by_head = answer.view(n_tokens, n_key_heads, group, width).permute(1, 2, 0, 3)
    norms = torch.empty(n_key_heads, group, n_tokens) if shared else None
    # invariant: answer and norms are final for the tokens of all segments before this one
    for one in plan.segments:
        _attend_within(asked, key[0, :, None], value[0, :, None], one, scale, by_head, norms)
    if norms is not None:
        before, values = (part[0, :, None].expand(-1, group, -1, -1) for part in (prefix_keys, prefix_values))
        other, other_norms = _flash(asked, before, values, None, False, scale)
        share = torch.sigmoid(norms - other_norms).unsqueeze(-1).to(query.dtype)
        by_head.copy_(torch.lerp(other, by_head, share))
    return answer.unsqueeze(0)


@attend_to_segments.register_fake
def _(query: torch.Tensor, *others: object) -> torch.Tensor:
    _, n_heads, n_tokens, width = query.shape
    return query.new_empty(1, n_tokens, n_heads, width)


def _attend_within(
    asked: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    one: Segments,
    scale: float,
    answer: torch.Tensor,
    norms: torch.Tensor | None,
) -> None:
    """Attend within segments of one length, all heads of all of them in one call."""
    n_key_heads, group = asked.shape[:2]
    piece = slice(one.start, one.start + one.length * one.count)
    size = (n_key_heads, one.count)

    def by_segment(tensor: torch.Tensor) -> torch.Tensor:
        split = torch.unflatten(tensor[:, :, piece], 2, (one.count, one.length)).transpose(1, 2)
        return split.flatten(0, 1).expand(-1, group, -1, -1)  # key heads and segments, heads

    mask = one.mask_for(n_key_heads)
    found, own = _flash(by_segment(asked), by_segment(key), by_segment(value), mask, mask is None, scale)
    answer[:, :, piece] = torch.unflatten(found, 0, size).transpose(1, 2).flatten(2, 3)
    if norms is not None:
        norms[:, :, piece] = torch.unflatten(own, 0, size).transpose(1, 2).flatten(2, 3)


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention that never holds all scores, and the logarithm of what it divided by."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    found, norms = kernel(query, key, value, 0.0, causal, attn_mask=mask, scale=scale)
    return found, norms


AttentionInterface.register(NAME, attend)
